"""What many threads share that is bounded as a whole, like memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Shares:
    """Of a whole; who asks for more than is left waits, and whoever comes then behind that one.

    One alone may have more than the whole.
    """

    def __init__(self, whole: int) -> None:
        self._whole, self._taken = whole, 0
        self._changed = threading.Condition()
        self._next = threading.Lock()  # who waits for its share; without it, small ones overtake

    @contextmanager
    def taking(self, share: int) -> Iterator[None]:
        """Blocks."""
        share = min(share, self._whole)
        with self._next, self._changed:
            self._changed.wait_for(lambda: self._taken + share <= self._whole)
            self._taken += share
        try:
            yield
        finally:
            with self._changed:
                self._taken -= share
                self._changed.notify_all()
