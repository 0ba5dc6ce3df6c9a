"""Requests at a steady rate, each on a connection of its own, until standard input ends.

Run by itself, with the standard library alone: python load.py PORT RATE [PATH]. It tells on its
output, as JSON, how many were asked, which failed and why, how often each answer came since each
"mark NAME" that it read, and when (CLOCK_MONOTONIC) the first one failed and each answer came last.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter

THREADS = 8
PATIENCE_SECONDS = 10.0


class Load:
    """Counts; `mark` begins anew under another name."""

    def __init__(self, port: int, rate: float, path: str) -> None:
        self._port, self._every, self._path = port, THREADS / rate, path
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._mark = "start"
        self.asked = 0
        self.failed: list[str] = []
        self.failed_at: float | None = None
        self.last: dict[str, float] = {}
        self.answers: dict[str, Counter[str]] = {"start": Counter()}

    def run(self, number: int) -> None:
        due = time.monotonic() + self._every * number / THREADS
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._every, time.monotonic() - 1.0)
            with self._lock:
                self.asked += 1
                mark = self._mark
            answer, why = self._ask()
            with self._lock:
                now = time.monotonic()
                self.last[answer] = now
                if why is not None:
                    self.failed.append(f"{mark}: {why}")
                    self.failed_at = self.failed_at or now
                self.answers[mark][answer] += 1

    def mark(self, name: str) -> None:
        with self._lock:
            self._mark = name
            self.answers.setdefault(name, Counter())

    def end(self) -> None:
        self._ended.set()

    def _ask(self) -> tuple[str, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", self._path)
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace").strip()[:40]
        except (OSError, http.client.HTTPException) as error:
            return "none", repr(error)
        finally:
            connection.close()
        return said, None if answer.status == 200 else f"{answer.status} {said}"


def main() -> None:
    port, rate, *path = sys.argv[1:]
    load = Load(int(port), float(rate), path[0] if path else "/")
    threads = [threading.Thread(target=load.run, args=(each,)) for each in range(THREADS)]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        load.mark(line.strip().removeprefix("mark "))
        sys.stdout.write("marked\n")
        sys.stdout.flush()
    load.end()
    for thread in threads:
        thread.join()
    told = {"asked": load.asked, "failed": load.failed, "answers": load.answers}
    json.dump(told | {"failed_at": load.failed_at, "last": load.last}, sys.stdout)


if __name__ == "__main__":
    main()
