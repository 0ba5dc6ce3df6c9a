"""Ten minutes as a line of signs."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.telemetry import History, Series
from console.tui.history import UtilizationHistory, sign_of
from console.tui.look.glyphs import ASCII, UNICODE

AT = 6_000_000.0  # a whole number of buckets of 60 s


def remembered(values: Sequence[float | None], end_at: float = AT) -> History:
    series = Series(subject="g", metric="utilization_percent", values=list(values))
    other = Series(subject="g", metric="power_watts", values=[100.0] * len(values))
    return History(resolution_seconds=1, end_at=end_at, series=[series, other])


def test_what_the_agent_remembers_is_drawn_newest_right() -> None:
    history = UtilizationHistory()
    history.take(remembered([0.0] * 300 + [100.0] * 300, AT - 1))
    assert history.line("g", AT - 1, 10, UNICODE) == "▁▁▁▁▁█████"
    assert history.line("g", AT - 1, 10, ASCII) == "_____#####"


def test_what_is_not_known_is_blank() -> None:
    history = UtilizationHistory()
    assert history.line("g", AT, 4, UNICODE) == "    "
    history.take(remembered([None] * 300 + [100.0] * 300, AT - 1))
    assert history.line("g", AT - 1, 4, UNICODE) == "  ██"


def test_the_line_moves_once_a_bucket() -> None:
    history = UtilizationHistory()
    history.take(remembered([float(n % 100) for n in range(600)], AT - 1))
    before = history.line("g", AT - 1, 10, UNICODE)
    history.note("g", AT, 50)
    moved = history.line("g", AT, 10, UNICODE)
    assert moved == f"{before[1:]}▅"
    history.note("g", AT + 30, 50)
    assert history.line("g", AT + 30, 10, UNICODE) == moved


def test_live_values_go_on_and_are_kept_when_history_comes() -> None:
    history = UtilizationHistory()
    history.note("g", AT + 5, 100)
    history.note("g", AT + 5.2, 0)  # within the same second
    history.note("g", AT + 6, None)
    history.take(remembered([0.0] * 10))
    assert history.line("g", AT + 6, 600, UNICODE).rstrip()[-6:] == "▁    █"


def test_the_nodes_clock_may_be_off() -> None:
    history = UtilizationHistory()
    history.take(remembered([100.0] * 60, AT + 3600 - 1), clock_offset=3600)
    assert history.line("g", AT - 1, 10, UNICODE) == " " * 9 + "█"


def test_old_values_go() -> None:
    history = UtilizationHistory()
    for second in range(3000):
        history.note("g", AT + second, 10)
    assert len(history._values["g"]) <= 902


def test_signs_stay_within_their_range() -> None:
    assert sign_of([250.0], UNICODE) == "█"
    assert sign_of([-5.0], UNICODE) == "▁"
