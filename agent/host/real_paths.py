"""What the machine has at a path, for an agent whose own root is another one.

An agent in a container has its machine's root elsewhere: `host_root` says where, and whoever reads
a file of the machine, or runs a program of it, does it by that root. What the agent itself keeps
(/etc/roost, /var/lib/roost, /opt/roost, /run/roost) is under the same path in both.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

ROOT = Path("/")
# Where a container has its machine's root; it may look there with the machine's process numbers
# and CAP_SYS_PTRACE. agent/kit/container.sh sets it.
HOST_VARIABLE = "ROOST_HOST"
LINKS = 40  # path_resolution(7)
# Run by this very Python, because an image need not have chroot(1). In the other root nothing can
# be imported any more, which execvp would.
_CHANGE_ROOT = """\
import os, sys
root, *command = sys.argv[1:]
name = command[0]
places = [name] if "/" in name else [f"{at}/{name}" for at in os.get_exec_path()]
try:
    os.chroot(root)
    os.chdir("/")
    os.execv(next((at for at in places if os.access(at, os.X_OK)), name), command)
except OSError as error:
    sys.exit(f"{name}: {error.strerror}")
"""


def host_root(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the machine's root is for this process: ROOT, but in a container."""
    return Path(environment.get(HOST_VARIABLE, str(ROOT)))


def here(path: str | Path, root: Path = ROOT) -> Path:
    """Where this process has what the machine has at an absolute path. Blocks; never raises.

    The kernel would follow an absolute link from this process's own root, so none is left in it.
    """
    if root == ROOT:
        return Path(path)
    try:
        return below(real_path(str(path), root), root)
    except OSError:  # whoever opens it is told the same
        return below(Path(path), root)


def mounts_of(root: Path = ROOT) -> Path:
    """The machine's mountinfo, proc(5)."""
    return Path("/proc/self/mountinfo") if root == ROOT else root / "proc/1/mountinfo"


def command_there(command: Sequence[str], root: Path = ROOT) -> list[str]:
    """The command that runs a program of the machine; one that is not there ends with 1."""
    if root == ROOT:
        return list(command)
    return [sys.executable, "-IS", "-c", _CHANGE_ROOT, str(root), *command]


def real_path(path: str, root: Path = ROOT) -> Path:
    """Where an absolute path leads on the machine whose root is `root`: without any link. Blocks.

    What is not there leads where it would be made.

    Raises:
        OSError: it may not be looked at, or its links lead in a circle.
    """
    if root == ROOT:
        try:
            return Path(path).resolve()
        except RuntimeError:  # so Python before 3.13 tells a circle
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
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
