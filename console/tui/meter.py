"""How many bytes a second go to the terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW_SECONDS = 10.0


class Meter:
    """A mean over the last ten seconds, of a counter that only grows."""

    def __init__(self, counter: Callable[[], int]) -> None:
        self._counter = counter
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self) -> float:
        """Bytes a second; 0.0 at the first call."""
        now = time.monotonic()
        self._seen.append((now, self._counter()))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_SECONDS:
            self._seen.popleft()
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end > start else 0.0
