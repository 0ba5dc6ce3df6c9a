"""Files that are whole whenever they are seen, whatever crashes: written beside, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
# By its number, as glibc has renameat2 from 2.28 on: arch/x86/entry/syscalls/syscall_64.tbl,
# include/uapi/asm-generic/unistd.h
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


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


def take_place(new: Path, place: Path, *, before: Path) -> None:
    """Have the folder `new` be at `place`, durable. What was there is at `new` or `before` then.

    There is always one of them at `place`, but for a moment on a filesystem that cannot have two
    names exchanged. Installing an agent does the same, before there is this module to import.

    Raises:
        OSError: what was there is there still.
    """
    try:
        if place.exists():
            _exchange(new, place)
        else:
            new.rename(place)
    except OSError as error:
        if error.errno not in _CANNOT or not place.exists():
            raise
        place.rename(before)
        try:
            new.rename(place)
        except BaseException:
            before.rename(place)
            raise
    sync_folder(place.parent)


def _exchange(one: Path, other: Path) -> None:
    """Each gets the other's name, in one step. Raises OSError."""
    import ctypes  # who swaps no folders need not wait for it

    number = _RENAMEAT2.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, "no renameat2 is known here")
    call = ctypes.CDLL(None, use_errno=True).syscall
    if call(number, _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
