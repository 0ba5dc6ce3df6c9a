"""Sockets to listen on, and what is wrong where one cannot be had."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from agent.host.accounts import group_id
from agent.host.real_paths import ROOT
from agent.protocol.problems import ProblemError

BACKLOG = 128
# The kernel's limit on a socket's path is 108 bytes with its final zero.
SOCKET_PATH_LIMIT = 107
PROBE_SECONDS = 1.0

log = logging.getLogger(__name__)


class UnixSocket:
    """A socket that listens at a path. One that nobody listens on any more is replaced.

    Its group is one of the machine whose root is `root`.

    Raises:
        ProblemError: `listen.failed`.
    """

    def __init__(self, path: Path, *, mode: int, group: str | None, root: Path = ROOT) -> None:
        self.path = path
        with _told(str(path)):
            self.socket = _bind(path, mode=mode, group=group, root=root)
            self._identity = _identity(path)

    def remove(self) -> None:
        """Take the path away, unless it is another agent's by now."""
        with contextlib.suppress(OSError):
            if _identity(self.path) == self._identity:
                self.path.unlink()


def listen_tcp(address: str) -> socket.socket:
    """A socket that listens on "host:port"; port 0 lets the system choose.

    Raises:
        ProblemError: `listen.failed`.
    """
    with _told(address):
        host, colon, port = address.rpartition(":")
        if not (colon and port.isdecimal() and int(port) < 2**16):
            raise ValueError("an address is HOST:PORT, like 0.0.0.0:7443 or [::]:7443")
        return socket.create_server(
            (host.strip("[]"), int(port)),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=BACKLOG,
        )


def _bind(path: Path, *, mode: int, group: str | None, root: Path) -> socket.socket:
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise OSError(errno.ENAMETOOLONG, f"a socket's path has at most {SOCKET_PATH_LIMIT} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_socket():
        if _somebody_listens(path):
            raise OSError(errno.EADDRINUSE, "another agent listens there")
        path.unlink()
    elif os.path.lexists(path):
        raise OSError(errno.EEXIST, "there is something that is no socket")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Never open to more than it shall be, not even for a moment.
        before = os.umask(0o777 & ~mode)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        path.chmod(mode)
        sock.listen(BACKLOG)
        if group is not None:
            _hand_to(path, group, root)
    except BaseException:
        sock.close()
        raise
    return sock


def _hand_to(path: Path, group: str, root: Path) -> None:
    try:
        os.chown(path, -1, group_id(group, root))
    except KeyError:
        log.warning("there is no group %s: only root may use %s", group, path)
    except PermissionError:
        log.warning("only root can give %s to group %s: only this user may use it", path, group)


def _somebody_listens(path: Path) -> bool:
    """Whether the socket is in use, even by one too busy to answer now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (TimeoutError, BlockingIOError):
            return True  # its queue of callers is full
    return True


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def _told(address: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ProblemError(
            "listen.failed",
            f"cannot listen on {address}: {why}",
            params={"address": address},
            hint="Check the address in agent.yaml, its folder's permissions, and that no other"
            " agent runs.",
        ) from None
