"""Listening: unix sockets with a role each, and https with tokens."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import uvicorn

from agent.host.real_paths import ROOT
from agent.http.app import build_app
from agent.http.caller import Callers, Listener
from agent.http.patience import ImpatientProtocol
from agent.http.sockets import BACKLOG, UnixSocket, listen_tcp

# Streams of followers must not hold up a stop.
GRACE_SECONDS = 2


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: there may be two servers in one loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Servers:
    """All listeners of a process.

    Sockets listen before `serve`: errors come early, and callers may connect at once.
    """

    def __init__(self, *, grace_seconds: int = GRACE_SECONDS, root: Path = ROOT) -> None:
        """`root` is the machine's."""
        self._grace_seconds, self._root = grace_seconds, root
        self._listeners: dict[str, Listener] = {}
        self._unix: list[UnixSocket] = []
        self._tls: list[tuple[socket.socket, ssl.SSLContext]] = []
        self._servers: list[_Server] = []
        self._stopping = False
        self.signalled = False  # somebody wants the process to end
        self._app: Callers | None = None

    def add_unix(
        self, path: Path, listener: Listener, *, mode: int = 0o600, group: str | None = None
    ) -> None:
        """Listen on a unix socket. One that nobody listens on any more is replaced.

        Raises:
            ProblemError: `listen.failed`.
        """
        self._unix.append(UnixSocket(path, mode=mode, group=group, root=self._root))
        self._listeners[str(path)] = listener

    def add_tls(self, address: str, listener: Listener, context: ssl.SSLContext) -> int:
        """Listen with TLS on "host:port"; returns the port, which port 0 lets the system choose.

        Raises:
            ProblemError: `listen.failed`.
        """
        sock = listen_tcp(address)
        bound = int(sock.getsockname()[1])
        self._listeners[f"*:{bound}"] = listener
        self._tls.append((sock, context))
        return bound

    async def serve(self, *, until_signal: bool = True) -> None:
        """Serve until `stop`, or a signal if so wished; then give the sockets back."""
        app = self._app = build_app(_ByPort(self._listeners))
        groups: list[tuple[list[socket.socket], ssl.SSLContext | None]] = []
        if self._unix:
            groups.append(([each.socket for each in self._unix], None))
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
                http=ImpatientProtocol,
            )
            config.load()
            config.ssl = context
            server = _Server(config)
            server.should_exit = self._stopping
            self._servers.append(server)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT) if until_signal else ():
            loop.add_signal_handler(number, self._signalled)
        try:
            await asyncio.gather(
                *(
                    server.serve(sockets=sockets)
                    for server, (sockets, _) in zip(self._servers, groups, strict=True)
                )
            )
            await app.wait_ended()
        finally:
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Give the sockets back; `serve` does so at its end."""
        for unix in self._unix:
            unix.socket.close()
            unix.remove()
        for sock, _ in self._tls:
            sock.close()

    def _signalled(self) -> None:
        self.signalled = True
        self.stop()

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
