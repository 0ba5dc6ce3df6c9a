"""The same machine: a unix socket."""

from __future__ import annotations

import asyncio
import os

from agent.protocol.problems import ProblemError
from agent.rules.service import is_service, start_command
from console.link.address import Address
from console.link.connection import Connection, CutError
from console.link.deadline import within
from console.link.link import LinkKind
from console.link.problems import unreachable

CONNECT_TIMEOUT_SECONDS = 5.0


class UnixLink:
    """`unix:///path`."""

    kind: LinkKind = "unix"

    def __init__(
        self, node: str, address: Address, *, timeout: float = CONNECT_TIMEOUT_SECONDS
    ) -> None:
        self._node = node
        self._path = address.path
        self._timeout = timeout

    async def connect(self) -> Connection:
        """Raises ProblemError `link.socket_missing`, `link.socket_permission`, ..."""
        return await open_socket(self._node, self._path, timeout=self._timeout)

    async def explain(self, cut: CutError) -> ProblemError | None:
        return unreachable(self._node, str(cut), hint=f"Check that an agent serves {self._path}.")

    async def close(self) -> None:
        pass


async def open_socket(node: str, path: str, *, timeout: float) -> Connection:
    """A connection to the agent's socket on this machine."""
    try:
        reader, writer = await within(timeout, asyncio.open_unix_connection(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        service = await asyncio.to_thread(is_service, os.path.exists)
        gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        raise ProblemError(
            "link.socket_missing",
            f"{node}: " + (f"there is no {path}" if gone else f"nobody listens on {path}"),
            params={"node": node, "path": path},
            hint=f"Start the agent on this machine: {start_command(service=service)}",
        ) from None
    except PermissionError:
        hint = "Join its group, then log in again: sudo usermod -aG roost $(id -un)"
        if path.endswith("/admin.sock"):
            hint = "It is root's alone: run the command with sudo."
        raise ProblemError(
            "link.socket_permission",
            f"{node}: {path} is not for you",
            params={"node": node, "path": path},
            hint=hint,
        ) from None
    except (OSError, asyncio.TimeoutError) as error:
        raise unreachable(node, error, hint=f"Check that an agent serves {path}.") from None
    return Connection(reader, writer)
