"""Points in time as they are typed: the same as agents take."""

from __future__ import annotations

import pytest

from agent.containers.moments import parse_moment
from agent.protocol.problems import ProblemError
from console.tui.moments import is_moment


@pytest.mark.parametrize(
    "text",
    ["10m", "1h30m", "1.5d", "250ms", "1777900000", "1777900000.5", "2026-05-04T10:00:00Z",
     "2026-05-04 10:00:00.123456789+02:00", "10x", "m", "-5m", "2026-13-04T10:00:00Z",
     "2026-05-04", "yesterday", "10m ago", "\u0661m"],
)  # fmt: skip
def test_console_and_agent_take_the_same(text: str) -> None:
    try:
        parse_moment(text, now=1_777_900_000.0)
    except ProblemError:
        assert not is_moment(text)
    else:
        assert is_moment(text)
