"""A unix socket in one place that leads to another one: into a machine that sees no host path."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def leading_to(target: Path, place: Path) -> Iterator[None]:
    """While it is entered, who connects to `place` talks to whoever listens on `target`."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(place))
        place.chmod(0o666)
        listener.listen(64)
        accepting = threading.Thread(target=_accept, args=(listener, target))
        accepting.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(listener: socket.socket, target: Path) -> None:
    """Until the listener is shut down; what is connected then is cut."""
    with contextlib.ExitStack() as stack:
        pumps: list[threading.Thread] = []
        ends: list[socket.socket] = []
        while True:
            try:
                caller = stack.enter_context(listener.accept()[0])
            except OSError:
                break
            there = stack.enter_context(socket.socket(socket.AF_UNIX))
            try:
                there.connect(os.fspath(target))
            except OSError:
                caller.close()
                continue
            ends += [caller, there]
            for one, other in ((caller, there), (there, caller)):
                pumps.append(threading.Thread(target=_pump, args=(one, other)))
                pumps[-1].start()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for pump in pumps:
            pump.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
