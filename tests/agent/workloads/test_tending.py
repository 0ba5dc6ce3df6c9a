"""How often a node does something by itself."""

from __future__ import annotations

import pytest

from agent.workloads.tending import A_DAY, AT_LEAST_SECONDS, DAY_SECONDS, too_often

NOW = 1_760_000_000.0


@pytest.mark.parametrize(
    ("ages", "why"),
    [
        ([], None),
        ([AT_LEAST_SECONDS], None),
        ([AT_LEAST_SECONDS - 1], "just now"),
        ([3600.0 * (each + 1) for each in range(A_DAY - 1)], None),
        ([3600.0 * (each + 1) for each in range(A_DAY)], "within a day"),
        ([DAY_SECONDS + each for each in range(100)], None),
        ([-3600.0] * 100, None),  # the clock was set back
    ],
)
def test_the_rate_is_bounded(ages: list[float], why: str | None) -> None:
    found = too_often([NOW - age for age in ages], NOW)
    assert (found is None) if why is None else (found is not None and why in found)
