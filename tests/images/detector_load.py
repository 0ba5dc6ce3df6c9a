"""JPEGs at a steady rate to /v1/detect until standard input ends; standard library alone.

python detector_load.py HOST PORT RATE JPEG. Prints as JSON how many were asked, what failed, and
which models answered how often.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

THREADS = 8
PATIENCE_SECONDS = 20.0


class Load:
    """Each thread keeps one connection, and makes another where the server closed it."""

    def __init__(self, host: str, port: int, rate: float, jpeg: bytes) -> None:
        self._host, self._port, self._jpeg = host, port, jpeg
        self._every = THREADS / rate
        self._lock = threading.Lock()
        self.ended = threading.Event()
        self.asked = 0
        self.failed: list[str] = []
        self.models: Counter[str] = Counter()

    def run(self, number: int) -> None:
        due = time.monotonic() + self._every * number / THREADS
        connection = self._connection()
        while not self.ended.wait(max(0.0, due - time.monotonic())):
            due += self._every
            try:
                connection.request("POST", "/v1/detect", self._jpeg)
                answer = connection.getresponse()
                said = answer.read()
                model, why = "", None
                if answer.status == 200:
                    model = json.loads(said)["model"]
                else:
                    why = f"{answer.status} {said[:200]!r}"
            except (OSError, http.client.HTTPException) as error:
                model, why = "", repr(error)
                connection.close()
                connection = self._connection()
            with self._lock:
                self.asked += 1
                if why is None:
                    self.models[model] += 1
                else:
                    self.failed.append(why)
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE_SECONDS)


def main() -> None:
    host, port, rate, jpeg = sys.argv[1:]
    load = Load(host, int(port), float(rate), Path(jpeg).read_bytes())
    threads = [threading.Thread(target=load.run, args=(each,)) for each in range(THREADS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    load.ended.set()
    for thread in threads:
        thread.join()
    json.dump({"asked": load.asked, "failed": load.failed, "models": load.models}, sys.stdout)


if __name__ == "__main__":
    main()
