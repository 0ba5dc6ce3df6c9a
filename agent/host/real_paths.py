"""Where a path of the machine leads, for an agent whose own root is another one."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePosixPath

ROOT = Path("/")
# Where a container has its machine's root; it may look there with the machine's process numbers
# and CAP_SYS_PTRACE. agent/kit/installer.py sets it.
HOST_VARIABLE = "ROOST_HOST"
LINKS = 40  # path_resolution(7)


def real_path(path: str, root: Path = ROOT) -> Path:
    """Where an absolute path leads on the machine whose root is `root`: without any link. Blocks.

    What is not there leads where it would be made.

    Raises:
        OSError: it may not be looked at, or its links lead in a circle.
    """
    if root == ROOT:
        return Path(path).resolve()
    left, real, links = _parts(path), ROOT, 0
    while left:
        part = left.pop()
        if part == "..":
            real = real.parent
            continue
        try:
            target = str(below(real / part, root).readlink())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
                raise
            real /= part
            continue
        links += 1
        if links > LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        real = ROOT if target.startswith("/") else real
        left += _parts(target)
    return real


def below(path: Path, root: Path) -> Path:
    """As this process has it."""
    return root / str(path).lstrip("/")


def _parts(path: str) -> list[str]:
    """The last one first."""
    return [part for part in reversed(PurePosixPath(path).parts) if not part.startswith("/")]
