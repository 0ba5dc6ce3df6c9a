"""Files out of an image: a container is made from it, never started, and read as `docker cp` does.

There is no way to list them without sending all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import requests
from docker import APIClient
from docker.errors import create_api_error_from_http_exception

from agent.archives.decompressors import CutOffError
from agent.archives.sources import PieceSource, Source
from agent.containers.connection import Connection

CHUNK_BYTES = 256 * 1024
# A runtime that mounts the image first, on a slow disk, says nothing meanwhile.
SILENCE_SECONDS = 60
T = TypeVar("T")


async def read_at(
    connection: Connection,
    container: str,
    path: str,
    read: Callable[[Source], T],
    *,
    seconds: float,
    limit_bytes: int,
) -> T | None:
    """What `read` makes, in a thread, of the tar of what lies there; None: there is no such path.

    Past `limit_bytes`, and once nobody waits for it, its source raises CutOffError.

    Raises:
        ProblemError: `runtime.*`, also after `seconds`.
    """
    target = f"/v{connection.api_version}/containers/{container}/archive"
    query = {"path": f"/{path}"}
    ended = threading.Event()

    def work(client: APIClient) -> T | None:
        url = f"{client.base_url}{target}"
        with client.get(url, params=query, stream=True, timeout=SILENCE_SECONDS) as answer:
            if answer.status_code == 404:
                return None
            try:
                answer.raise_for_status()
            except requests.HTTPError as error:
                raise create_api_error_from_http_exception(error) from error
            pieces = _within_limits(answer.iter_content(CHUNK_BYTES), ended, limit_bytes)
            return read(PieceSource(pieces, end="the runtime's answer"))

    try:
        return await connection.call(work, seconds=seconds)
    finally:
        ended.set()  # the thread of one who waits no more ends with its next piece


def _within_limits(
    pieces: Iterator[bytes], ended: threading.Event, limit_bytes: int
) -> Iterator[bytes]:
    """The pieces, while somebody waits for them and they are not too many."""
    taken = 0
    for piece in pieces:
        if ended.is_set():
            raise CutOffError("nobody waits for it any more")
        taken += len(piece)
        if taken > limit_bytes:
            raise CutOffError(f"more than {limit_bytes} bytes lie there")
        yield piece
