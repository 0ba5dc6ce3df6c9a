"""The private folder where tunnels have their sockets."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from agent.protocol.problems import ProblemError

# The kernel takes 108 bytes; ssh adds a random suffix of 17 to a socket while it binds it.
SOCKET_PATH_LIMIT_BYTES = 100


def private_folder(environment: Mapping[str, str], *, temporary: Path = Path("/tmp")) -> Path:  # noqa: S108 -- checked below
    """`$XDG_RUNTIME_DIR/roost`, or a folder of your own in /tmp. Made if it is missing.

    Raises:
        ProblemError: `link.socket_path`: a folder of that name is somebody else's.
    """
    given = environment.get("XDG_RUNTIME_DIR")
    if given:
        folder = Path(given) / "roost"
        # After `sudo`, or in a container, it may name a folder that is not there or not ours.
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_ours(folder):
                return folder
    folder = temporary / f"roost-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_ours(folder):
        raise ProblemError(
            "link.socket_path",
            f"{folder} is not a folder of yours alone",
            params={"path": str(folder)},
            hint="Set XDG_RUNTIME_DIR to a folder of yours with mode 0700.",
        )
    return folder


def socket_path(folder: Path, name: str) -> Path:
    """Where the tunnel `name` of this process has its socket.

    Raises:
        ProblemError: `link.socket_path`: too long for a socket.
    """
    path = folder / f"{os.getpid()}-{name}"
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT_BYTES:
        raise ProblemError(
            "link.socket_path",
            f"{path} has more than {SOCKET_PATH_LIMIT_BYTES} bytes",
            params={"path": str(path)},
            hint="Set XDG_RUNTIME_DIR to a folder with a shorter path.",
        )
    return path


def sweep(folder: Path) -> None:
    """Remove sockets of consoles that are no more: a killed ssh leaves its socket behind."""
    for path in folder.iterdir():
        pid = path.name.partition("-")[0]
        if pid.isdecimal() and path.is_socket() and not _runs(int(pid)):
            path.unlink(missing_ok=True)


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and stat.S_IMODE(found.st_mode) & 0o077 == 0
        and os.access(folder, os.W_OK)
    )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
