"""A workload that is worse than it was, as its environment says.

It runs in a container, alone: `python3 candidate.py`. SLOWER: seconds that each answer takes
longer; FAILS: every so manieth request fails; LEAKS: bytes that each request leaves behind.
"""

from __future__ import annotations

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

PORT = 8000
METRICS = "/metrics"
RESIDENT = "process_resident_memory_bytes"


class Handler(BaseHTTPRequestHandler):
    """Answers its version."""

    slower = float(os.environ.get("SLOWER", "0"))
    fails = int(os.environ.get("FAILS", "0"))
    leaks = int(os.environ.get("LEAKS", "0"))
    requests = count(1)
    left: list[bytes] = []  # noqa: RUF012 - it is there to grow

    def do_GET(self) -> None:
        """The page of metrics, or the work that it is there for."""
        if self.path == METRICS:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident = pages * os.sysconf("SC_PAGE_SIZE")
            self._answer(200, f"# TYPE {RESIDENT} gauge\n{RESIDENT} {resident}\n")
            return
        time.sleep(self.slower)
        self.left.append(b"\1" * self.leaks)
        bad = self.fails and next(self.requests) % self.fails == 0
        self._answer(500 if bad else 200, os.environ["VERSION"])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so it is named
        """Nobody reads it."""

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


class Server(ThreadingHTTPServer):
    """For bursts, too."""

    request_queue_size = 128


if __name__ == "__main__":
    Server(("0.0.0.0", PORT), Handler).serve_forever()  # noqa: S104 - in a container
