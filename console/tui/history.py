"""The last ten minutes of a figure, as a line of signs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from agent.protocol.telemetry import History
from console.tui.look.glyphs import Glyphs

SECONDS = 600


class UtilizationHistory:
    """Utilization of a node's GPUs over ten minutes, by UUID, one value a second at most.

    Begins with what the agent remembers and goes on with the live picture.
    """

    def __init__(self) -> None:
        self._values: dict[str, deque[tuple[float, float]]] = {}

    def take(self, history: History, *, clock_offset: float = 0.0) -> None:
        """What the agent remembers; its clock is `clock_offset` seconds ahead of ours."""
        end_at = history.end_at - clock_offset
        for series in history.series:
            if series.metric != "utilization_percent":
                continue
            start = end_at - (len(series.values) - 1) * history.resolution_seconds
            known = deque(
                (start + i * history.resolution_seconds, value)
                for i, value in enumerate(series.values)
                if value is not None
            )
            newer = [p for p in self._values.get(series.subject, ()) if p[0] > end_at]
            known.extend(newer)
            self._values[series.subject] = known

    def note(self, uuid: str, at: float, percent: float | None) -> None:
        """The live picture's value at a time, in Unix seconds."""
        values = self._values.setdefault(uuid, deque())
        if percent is not None and (not values or at - values[-1][0] >= 1):
            values.append((at, percent))
        while values and values[0][0] < at - SECONDS * 1.5:
            values.popleft()

    def line(self, uuid: str, now: float, width: int, glyphs: Glyphs) -> str:
        """`width` signs, the newest at the right; a blank where nothing is known.

        Buckets lie on whole multiples of their length, so the line moves once a bucket and only
        its last sign changes in between.
        """
        bucket = SECONDS / width
        last = int(now // bucket)
        heights: list[list[float]] = [[] for _ in range(width)]
        for at, percent in self._values.get(uuid, ()):
            index = width - 1 - (last - int(at // bucket))
            if 0 <= index < width:
                heights[index].append(percent)
        return "".join(sign_of(values, glyphs) for values in heights)


def sign_of(values: Sequence[float], glyphs: Glyphs) -> str:
    """The mean of some percentages as a height."""
    if not values:
        return " "
    top = len(glyphs.levels) - 1
    mean = sum(values) / len(values)
    return glyphs.levels[max(0, min(top, round(mean / 100 * top)))]
