"""How long a deployment waits for somebody's word, as it is typed."""

from __future__ import annotations

from agent.protocol.problems import ProblemError
from console.compose.scalars import duration

SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 30 * 86400.0


def parse_lease(text: str) -> float:
    """Seconds of "15m" or "1h30m".

    Raises:
        ProblemError: `console.usage`: it is no time, or none that an agent would take.
    """
    seconds = duration(text)
    if seconds is None or not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise ProblemError(
            "console.usage",
            "that is not a time like 15m or 1h30m, from 1s to 720h",
            hint="Write it as 15m or 1h30m, from 1s to 720h.",
        )
    return seconds
