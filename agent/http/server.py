"""Listening: unix sockets with a role each, and https with tokens."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import logging
import os
import signal
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import uvicorn

from agent.http.app import build_app
from agent.http.caller import Callers, Listener
from agent.protocol.problems import ProblemError

# Streams of followers must not hold up a stop.
GRACE_SECONDS = 2
BACKLOG = 128
# The kernel's limit on a socket's path is 108 bytes with its final zero.
SOCKET_PATH_LIMIT = 107

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: there may be two servers in one loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Servers:
    """All listeners of a process.

    Sockets listen before `serve`: errors come early, and callers may connect at once.
    """

    def __init__(self, *, grace_seconds: int = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        self._listeners: dict[str, Listener] = {}
        self._unix: list[socket.socket] = []
        self._tls: list[tuple[socket.socket, ssl.SSLContext]] = []
        self._paths: list[Path] = []
        self._servers: list[_Server] = []
        self._stopping = False
        self._app: Callers | None = None

    def add_unix(
        self, path: Path, listener: Listener, *, mode: int = 0o600, group: str | None = None
    ) -> None:
        """Listen on a unix socket. One that nobody listens on any more is replaced.

        Raises:
            ProblemError: `listen.failed`.
        """
        with _told(str(path)):
            sock = _bind_unix(path, mode=mode, group=group)
        self._listeners[str(path)] = listener
        self._unix.append(sock)
        self._paths.append(path)

    def add_tls(self, address: str, listener: Listener, context: ssl.SSLContext) -> int:
        """Listen with TLS on "host:port"; returns the port, which port 0 lets the system choose.

        Raises:
            ProblemError: `listen.failed`.
        """
        host, _, port = address.rpartition(":")
        with _told(address):
            sock = socket.create_server(
                (host.strip("[]"), int(port)),
                family=socket.AF_INET6 if ":" in host else socket.AF_INET,
                backlog=BACKLOG,
            )
        bound = int(sock.getsockname()[1])
        self._listeners[f"*:{bound}"] = listener
        self._tls.append((sock, context))
        return bound

    async def serve(self, *, until_signal: bool = True) -> None:
        """Serve until `stop`, or a signal if so wished; then give the sockets back."""
        app = self._app = build_app(_ByPort(self._listeners))
        groups: list[tuple[list[socket.socket], ssl.SSLContext | None]] = []
        if self._unix:
            groups.append((self._unix, None))
        groups.extend(([sock], context) for sock, context in self._tls)
        for _, context in groups:
            config = uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # The audit log's origin is who connected, whatever headers say.
                proxy_headers=False,
                timeout_graceful_shutdown=self._grace_seconds,
                backlog=BACKLOG,
                ws="none",
            )
            config.load()
            config.ssl = context
            server = _Server(config)
            server.should_exit = self._stopping
            self._servers.append(server)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT) if until_signal else ():
            loop.add_signal_handler(number, self.stop)
        try:
            await asyncio.gather(
                *(
                    server.serve(sockets=sockets)
                    for server, (sockets, _) in zip(self._servers, groups, strict=True)
                )
            )
            await app.wait_ended()
        finally:
            await asyncio.to_thread(_remove, self._paths)

    def stop(self) -> None:
        """Ask `serve` to end, also before it has begun."""
        self._stopping = True
        for server in self._servers:
            server.should_exit = True
        if self._app is not None:
            self._app.end_streams()


class _ByPort(dict[str, Listener]):
    """A TLS listener on all addresses is found by its port."""

    def __init__(self, listeners: Mapping[str, Listener]) -> None:
        super().__init__(listeners)

    def __missing__(self, address: str) -> Listener:
        return super().__getitem__("*:" + address.rpartition(":")[2])


def _bind_unix(path: Path, *, mode: int, group: str | None) -> socket.socket:
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise OSError(errno.ENAMETOOLONG, f"a socket's path has at most {SOCKET_PATH_LIMIT} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_socket():
        if _answers(path):
            raise OSError(errno.EADDRINUSE, "another agent listens there")
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Never open to more than it shall be, not even for a moment.
    before = os.umask(0o777 & ~mode)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    path.chmod(mode)
    sock.listen(BACKLOG)
    if group is not None:
        try:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        except KeyError:
            log.warning("there is no group %s: only root may use %s", group, path)
    return sock


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _told(address: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise ProblemError(
            "listen.failed",
            f"cannot listen on {address}: {error}",
            params={"address": address},
            hint="Check the address in agent.yaml, its folder's permissions, and that no other"
            " agent runs.",
        ) from None
