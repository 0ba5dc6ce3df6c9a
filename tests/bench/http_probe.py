"""`python -m tests.bench.http_probe PORTS PERIOD`: asks over HTTP until its input ends.

PORTS is a file with one port a line, the one to try first at the top; it may change at any time.
A request has failed when none of them answers. Run in the network of a container runtime.
"""

from __future__ import annotations

import http.client
import json
import select
import sys
import time
from pathlib import Path

TIMEOUT_SECONDS = 2


def main() -> None:
    ports, period = Path(sys.argv[1]), float(sys.argv[2])
    answered = time.monotonic()
    asked = failed = 0
    longest = 0.0
    due = answered
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        due = max(due + period, time.monotonic() - period)  # no burst after a long request
        asked += 1
        if any(_answers(port) for port in ports.read_text().split()):
            now = time.monotonic()
            longest, answered = max(longest, now - answered), now
        else:
            failed += 1
    json.dump({"asked": asked, "failed": failed, "longest_gap": longest}, sys.stdout)


def _answers(port: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read() == b"hello\n"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
