"""Takes so many bytes on a connection, gives so many back, and does nothing else: for comparison.

It runs where a detector does, in a container of its image; detector_client.py says how many.
"""

from __future__ import annotations

import socket
import sys
import threading


def serve(connection: socket.socket) -> None:
    """Until the other side ends."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    lengths = bytearray(16)
    if not _filled(connection, lengths):
        return
    there = bytearray(int.from_bytes(lengths[:8], "big"))
    back = bytes(int.from_bytes(lengths[8:], "big"))
    while _filled(connection, there):
        connection.sendall(back)


def _filled(connection: socket.socket, into: bytearray) -> bool:
    rest = memoryview(into)
    while rest:
        count = connection.recv_into(rest)
        if not count:
            return False
        rest = rest[count:]
    return True


def main() -> None:
    with socket.create_server(("", int(sys.argv[1]))) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
