"""How many images a second the model runs."""

from __future__ import annotations

import threading
import time
from collections import deque


class Rate:
    """Over the last `seconds`. The model's thread adds to it while the loop's reads it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._done: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """So many just now."""
        with self._lock:
            self._done.append((time.monotonic(), count))
            self._forget()

    def per_second(self) -> float:
        """On average."""
        with self._lock:
            self._forget()
            return sum(count for _, count in self._done) / self._seconds

    def _forget(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._done and self._done[0][0] < oldest:
            self._done.popleft()
