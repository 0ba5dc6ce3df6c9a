"""Connections to a service that echoes, each held for a while; by itself: python holding.py PORT.

It takes words on its input and answers each with a line: "keep" (hold one more until it is told:
the release that answered), "free" (end that one), "end" (all end). To the others it says how many
connections it made to which release, and how each broke that did.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter

THREADS = 8
HELD_SECONDS = 1.0
EVERY_SECONDS = 0.05


class Holder:
    """Counts connections, and those that broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._kept: socket.socket | None = None
        self.made: Counter[str] = Counter()
        self.broken: list[str] = []

    def run(self) -> None:
        """One connection after the other."""
        while not self._ended.is_set():
            try:
                self._hold()
            except OSError as error:
                with self._lock:
                    self.broken.append(repr(error))

    def _hold(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=10) as opened:
            release = _line(opened)
            until = time.monotonic() + HELD_SECONDS
            while time.monotonic() < until:
                _echo(opened)
                time.sleep(EVERY_SECONDS)
        with self._lock:
            self.made[release] += 1

    def told(self, word: str) -> object:
        """The answer to a word."""
        if word == "keep":
            self._kept = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            return _line(self._kept)
        if word == "free" and self._kept is not None:
            _echo(self._kept)
            self._kept.close()
        if word == "end":
            self._ended.set()
        with self._lock:
            return {"made": self.made, "broken": self.broken}


def _line(opened: socket.socket) -> str:
    found = b""
    while not found.endswith(b"\n"):
        piece = opened.recv(100)
        if not piece:
            raise OSError("the other side ended it")
        found += piece
    return found.decode().strip()


def _echo(opened: socket.socket) -> None:
    opened.sendall(b"here\n")
    if _line(opened) != "here":
        raise OSError("it says something else")


def main() -> None:
    holder = Holder(int(sys.argv[1]))
    threads = [threading.Thread(target=holder.run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        word = line.strip()
        answer = holder.told(word)
        if word == "end":
            for thread in threads:
                thread.join()
            answer = holder.told("end")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
