"""Bytes that come from nodes, into files on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

# A few MiB at a time: one thread's work for many pieces from the link.
WRITE_BYTES = 4 << 20


@asynccontextmanager
async def beside(path: Path) -> AsyncIterator[Path]:
    """A folder on the same disk as `path`, gone afterwards; what a killed roost left goes, too.

    Raises:
        OSError: of making it; also what the block raises goes through as it is.
    """
    folder, handle = await asyncio.to_thread(_made_beside, path)
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        os.close(handle)


async def written(
    pieces: AsyncIterator[bytes],
    path: Path,
    *,
    durable: bool = False,
    heard: Callable[[int], None] = lambda _: None,
) -> str:
    """Write what comes into a new file; its SHA-256 in hex.

    Args:
        durable: whether it is on disk when this returns.
        heard: is told how many bytes there are.

    Raises:
        OSError: of the file; what `pieces` raises goes through as it is.
    """
    digest, buffer, count = hashlib.sha256(), bytearray(), 0
    file = await asyncio.to_thread(path.open, "xb")

    def put(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    def end() -> None:
        put(bytes(buffer))
        file.flush()
        if durable:
            os.fsync(file.fileno())

    try:
        async for piece in pieces:
            buffer += piece
            count += len(piece)
            heard(count)
            if len(buffer) >= WRITE_BYTES:
                await asyncio.to_thread(put, bytes(buffer))
                buffer.clear()
        await asyncio.to_thread(end)
    finally:
        await asyncio.to_thread(file.close)
    return digest.hexdigest()


def _made_beside(path: Path) -> tuple[Path, int]:
    """A new folder, and its lock, which ends with the process."""
    prefix, parent = f".{path.name}.taking-", path.absolute().parent
    for left in [each for each in parent.iterdir() if each.name.startswith(prefix)]:
        with contextlib.suppress(BlockingIOError):  # somebody is at it
            os.close(_lock(left))
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    return folder, _lock(folder)


def _lock(folder: Path) -> int:
    """Raises BlockingIOError: another process has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(handle)
        raise
    return handle
