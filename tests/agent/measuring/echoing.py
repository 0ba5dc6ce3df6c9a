"""A TCP service: it says its release first, and then whatever it is told. `python3 echoing.py`."""

from __future__ import annotations

import os
import socketserver

PORT = 9000


class Handler(socketserver.StreamRequestHandler):
    """One connection, until the other side ends it."""

    def handle(self) -> None:
        self.wfile.write(os.environ["RELEASE"].encode() + b"\n")
        for line in self.rfile:
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


if __name__ == "__main__":
    Server(("0.0.0.0", PORT), Handler).serve_forever()  # noqa: S104 - of a container
