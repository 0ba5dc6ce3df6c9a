"""Files that are whole whenever they are seen, whatever crashes: written beside, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def appearing(path: Path, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A new file that takes the name `path` when the block ends, from whatever had it.

    When the block fails nothing is left of it. A crash leaves the file that was there, and
    `.NAME.*.tmp` beside it. Who wants what is written to outlive a power cut calls `sync` in the
    block and `sync_folder` after it.

    Raises:
        OSError: also what the block raises goes through as it is.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            with contextlib.suppress(OSError):  # FAT has no modes
                os.fchmod(handle, mode)
            yield file
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """A small file, durable: a crash leaves the old one or the new one. Raises OSError."""
    with appearing(path, mode=mode) as file:
        file.write(data)
        sync(file)
    sync_folder(path.parent)


def sync(file: BinaryIO) -> None:
    """Make what was written to a file durable. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, if its filesystem can. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # fsync(2): it cannot be done there
            raise
    finally:
        os.close(handle)
