"""What a worker says, line by line, and what is made of its end; wherever it runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from agent.engines.build_log import BuildLog
from agent.engines.events import Cancelled, Done, Event, Failed, Versions, read_event
from agent.protocol.problems import ProblemError

# What a builder that can be cancelled gets to do so, before it is killed.
CANCEL_SECONDS = 1.5
# This line says it all, whatever may follow it.
LAST = (Done, Failed, Cancelled)


class Silences(msgspec.Struct, kw_only=True, frozen=True):
    """How long a worker may say nothing at all before it is taken for dead."""

    first_seconds: float = 120.0  # until it has said which TensorRT it has
    # A layer may be timed for minutes on a small GPU. It does not hold for a TensorRT that does
    # not tell how far a build is (before 9): that one is silent all the time.
    then_seconds: float = 1800.0


class Hearing:
    """Takes a worker's lines and gives its events to `seen`."""

    def __init__(
        self, seen: Callable[[Event], None], log: BuildLog, silences: Silences | None = None
    ) -> None:
        self._seen, self.log, self._silences = seen, log, silences or Silences()
        self._last: Event | None = None
        self._heard_at = time.monotonic()
        self._tells_progress: bool | None = None  # None: it has not said which TensorRT it has

    def line(self, line: bytes) -> None:
        """A line of its standard output, which is in the log already."""
        self.heard()
        if not line.startswith(b"{"):
            return  # no event, and there may be millions
        try:
            event = read_event(line)
        except msgspec.MsgspecError:
            return  # a line that a library printed
        if isinstance(event, Versions):
            self._tells_progress = event.progress
        if isinstance(event, LAST):
            self._last = event
        else:
            self._seen(event)

    def heard(self) -> None:
        """It lives."""
        self._heard_at = time.monotonic()

    def may_be_silent(self) -> float | None:
        """For so many seconds from now on; None: as long as it likes.

        Raises:
            ProblemError: `engine.silent`.
        """
        if self._tells_progress is False:
            return None
        first = self._tells_progress is None
        limit = self._silences.first_seconds if first else self._silences.then_seconds
        left = self._heard_at + limit - time.monotonic()
        if left > 0:
            return left
        raise ProblemError(
            "engine.silent",
            f"the builder has said nothing for {limit:g} s"
            + (", not even which TensorRT it has" if first else ""),
            hint="The job's log has what it said before; roost doctor finds a driver that hangs.",
        )

    def end(self, how: str, *, well: bool) -> None:
        """It has ended: `how` in words, for one that did not say how it went itself.

        Raises:
            ProblemError: `engine.*`: the worker's own, or `engine.worker` where it gave none.
        """
        if isinstance(self._last, Failed):
            raise self._last.problem()
        if not isinstance(self._last, Done) or not well:
            words = self.log.last_words
            raise died(how + (f"; its last words: {words}" if words else ""))


def died(text: str) -> ProblemError:
    """Of a worker that did not say why."""
    return ProblemError(
        "engine.worker",
        text,
        hint="SIGKILL often means that the machine ran out of memory; the job's log has the rest.",
    )
