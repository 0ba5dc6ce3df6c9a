"""The agent's end of a proxy's log: a socket that HAProxy sends to, and never waits for.

HAProxy keeps what nobody reads in a ring, and forgets the oldest of it when that is full.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from agent.traffic.config import USER_ID

READ_BYTES = 64 * 1024
LONGEST_LINE = 4096

log = logging.getLogger(__name__)


class LogListener:
    """Listens at `path`, and tells each line as it comes: length, a space, so many bytes."""

    def __init__(self, path: Path, took: Callable[[bytes], None]) -> None:
        self._path, self._took = path, took
        self._server: asyncio.AbstractServer | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen. Raises OSError."""
        bound = await asyncio.to_thread(self._bind)
        self._server = await asyncio.start_unix_server(self._serve, sock=bound, limit=READ_BYTES)

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def _bind(self) -> socket.socket:
        self._path.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.setblocking(False)  # noqa: FBT003 - its own name
        try:
            bound.bind(str(self._path))
            with contextlib.suppress(PermissionError):  # not root: then HAProxy is not, either
                os.chown(self._path, USER_ID, USER_ID)
            self._path.chmod(0o600)
        except BaseException:
            bound.close()
            raise
        return bound

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        rest = b""
        try:
            while piece := await reader.read(READ_BYTES):
                lines, rest = framed(rest + piece)
                for line in lines:
                    self._took(line)
        except (OSError, ValueError) as error:
            log.warning("a proxy's log at %s: %s", self._path, error)
        except asyncio.CancelledError:
            pass  # the loop ends
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


def framed(data: bytes) -> tuple[list[bytes], bytes]:
    """The lines that are whole, and what is left. Raises ValueError: these are none."""
    found, at = [], 0
    while (space := data.find(b" ", at, at + 8)) > 0:
        length = int(data[at:space])
        if not 0 <= length <= LONGEST_LINE:
            raise ValueError(f"a line of {length} bytes")
        if len(data) < space + 1 + length:
            break
        found.append(data[space + 1 : space + 1 + length])
        at = space + 1 + length
    if at == 0 and len(data) > LONGEST_LINE + 8:
        raise ValueError("no lengths in front of its lines")
    return found, data[at:]
