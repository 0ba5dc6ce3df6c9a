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
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(place))
    place.chmod(0o666)
    listener.listen(64)
    threading.Thread(target=_accept, args=(listener, target), daemon=True).start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket, target: Path) -> None:
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:  # closed: the test is over
            return
        there = socket.socket(socket.AF_UNIX)
        try:
            there.connect(os.fspath(target))
        except OSError:
            caller.close()
            continue
        for one, other in ((caller, there), (there, caller)):
            threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
