"""Log lines of containers that are not there: a pure function of seed, container and time."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from agent.containers.moments import NANOSECONDS, rfc3339_text
from agent.protocol.containers import Container, LogLine
from agent.rules.chance import repeatable

PERIOD_SECONDS = 2
# A log is rotated: of a container that runs for weeks, only the last lines are kept.
LINES_KEPT = 5000
_WARNINGS = ("a frame came late", "the camera's clock is off by 40 ms", "queue half full")


def line_numbers(
    container: Container,
    *,
    now: float,
    since: int | None = None,
    until: int | None = None,
    tail: int | None = None,
) -> range:
    """Which lines there are by `now`; `since` and `until` in nanoseconds since 1970."""
    if container.started_at is None:
        return range(0)
    running = container.state in ("running", "paused")
    end = now if running or container.finished_at is None else container.finished_at
    stop = max(0, int((end - container.started_at) // PERIOD_SECONDS) + 1)
    first = max(0, stop - LINES_KEPT)
    begin = int(container.started_at * NANOSECONDS)
    period = PERIOD_SECONDS * NANOSECONDS
    if since is not None:
        first = max(first, -((begin - since) // period))
    if until is not None:
        stop = min(stop, (until - begin) // period + 1)
    if tail is not None:
        first = max(first, stop - tail)
    return range(first, max(first, stop))


def lines(container: Container, numbers: range, *, seed: str) -> Iterator[LogLine]:
    """The lines of these numbers."""
    begin = int((container.started_at or 0.0) * NANOSECONDS)
    for number in numbers:
        chance = repeatable(f"{seed}/{container.id}/{number}")
        nanoseconds = begin + number * PERIOD_SECONDS * NANOSECONDS
        warns = chance.random() < 0.02
        yield LogLine(
            text=_warning(chance) if warns else _text(container, chance, number),
            at=rfc3339_text(nanoseconds),
            stream="stderr" if warns else "stdout",
        )


def _text(container: Container, chance: Random, number: int) -> str:
    if number == 0:
        return f"{container.name} started (simulated)"
    if container.gpus:
        return (
            f"frame {number * 50} objects {chance.randrange(9)}"
            f" latency {chance.uniform(8, 24):.1f} ms (simulated)"
        )
    return f"{chance.randrange(200)} messages in {PERIOD_SECONDS} s (simulated)"


def _warning(chance: Random) -> str:
    return f"warning: {chance.choice(_WARNINGS)} (simulated)"
