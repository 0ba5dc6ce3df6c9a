"""When systemd read its units again: it may take containers their GPUs then."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

# What systemd makes of its units it does in the moments after it has read them.
SETTLE_SECONDS = 10.0


class ReloadWatch:
    """Tells looks that were made before a `systemctl daemon-reload` from those made after it.

    systemd removes and makes the folders of its generators in /run/systemd each time, so that the
    time of that folder changes (seen on 252). Another change of it costs looks that nobody needs,
    no more.

    Args:
        folder: /run/systemd. None, or not there: nothing is ever known to have happened.
        clock: seconds, on a clock that nobody sets.
    """

    def __init__(self, folder: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._seen: int | None = None
        self._settled: float | None = None  # None: it was never looked

    def now(self) -> float:
        """The time, on the clock of `still_holds`."""
        return self._clock()

    def look(self) -> None:
        """See whether it happened since the last look. One stat, which blocks."""
        stamp = self._stamp()
        if self._settled is None:
            self._settled = self._clock()
        elif stamp != self._seen:
            self._settled = self._clock() + SETTLE_SECONDS
        self._seen = stamp

    def still_holds(self, looked_at: float) -> bool:
        """Whether what was seen then was seen after all that is known to have happened."""
        return self._settled is None or looked_at >= self._settled

    def _stamp(self) -> int | None:
        if self._folder is None:
            return None
        try:
            return self._folder.stat().st_mtime_ns
        except OSError:
            return None
