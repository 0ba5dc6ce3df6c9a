"""A TCP proxy that counts what goes through it, holds it to a rate, and cuts it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

PIECE_BYTES = 64 * 1024


class Wire:
    """Every connection to `port` goes on to `target`.

    `sent` counts bytes towards the target, `received` those back. `rate` is bytes a second
    towards the target, over all connections; 0: no limit. The wire is cut, and at once there
    again, after each of `cuts` (bytes towards the target).
    """

    def __init__(self, target: int, *, rate: int = 0, cuts: tuple[int, ...] = ()) -> None:
        self.sent = self.received = self.cut_count = 0
        self._target, self._rate, self._cuts = target, rate, list(cuts)
        self._lock = threading.Lock()
        self._free_at = 0.0
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """No more connections, and the end of those that are."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            # A small window: what the kernel holds is neither here nor there when it is cut.
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE_BYTES)
            far = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._open |= {near, far}
            for source, sink, there in ((near, far, True), (far, near, False)):
                carrying = (source, sink, there)
                threading.Thread(target=self._carry, args=carrying, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, there: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE_BYTES):
                if there:
                    self._pace(len(data))
                sink.sendall(data)
                if self._count(len(data), there=there):
                    self._cut()
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pace(self, count: int) -> None:
        if not self._rate:
            return
        with self._lock:
            begin = max(self._free_at, time.monotonic() - 0.05)
            self._free_at = begin + count / self._rate
            wait = self._free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)

    def _count(self, count: int, *, there: bool) -> bool:
        with self._lock:
            if not there:
                self.received += count
                return False
            self.sent += count
            if self._cuts and self.sent >= self._cuts[0]:
                del self._cuts[0]
                self.cut_count += 1
                return True
            return False

    def _cut(self) -> None:
        with self._lock:
            open_now, self._open = self._open, set()
        for end in open_now:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def wire(target: int, *, rate: int = 0, cuts: tuple[int, ...] = ()) -> Iterator[Wire]:
    """A wire for the time of the block."""
    made = Wire(target, rate=rate, cuts=cuts)
    try:
        yield made
    finally:
        made.close()
