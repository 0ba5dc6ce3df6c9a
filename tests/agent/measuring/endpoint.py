"""A workload with a page of metrics for every way in which one can be wrong.

It runs in a container, alone: `python3 endpoint.py`. `BAD` in its environment: every other request
fails.
"""

from __future__ import annotations

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

PORT = 8000
BIG = 10 * 1024 * 1024
HEADER = "Roost-Replay"


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    requests = count(1)
    scrapes = count(1)
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A page of metrics, or of something else."""
        pages = {
            "/metrics": f"# TYPE frames_total counter\nframes_total {next(self.scrapes) * 10}\n"
            "queue_depth 3\n",
            "/": "hello\n",
            "/nan": "queue_depth NaN\n",
            "/infinite": "queue_depth +Inf\n",
            "/garbage": "<html>It works!</html>",
            "/big": "queue_depth 1\n" + "#" * BIG,
            "/lies": 'queue_depth{a="1"} 1\nqueue_depth{a="1"} 2\n',
        }
        if self.path == "/hang":
            time.sleep(3600)
        elif self.path == "/drips":
            self._drip()
        elif self.path == "/broken":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            self.close_connection = True
        else:
            self._answer(200 if self.path in pages else 404, pages.get(self.path, "").encode())

    def do_POST(self) -> None:
        """The work that it is there for: only what says that it was replayed is taken."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fails = "BAD" in os.environ and next(self.requests) % 2
        known = self.headers.get(HEADER) == "1" and body == b"\x00image\xff"
        self._answer(500 if fails else 200 if known else 599, b"done")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so it is named
        """Nobody reads it."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while True:
            self.wfile.write(b"#")
            self.wfile.flush()
            time.sleep(0.05)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()  # noqa: S104 - in a container
