"""How long a deployment's states may last: never shorter than what its containers may take."""

from __future__ import annotations

import pytest

from agent.traffic.traffic import DRAIN_SECONDS
from agent.workloads.patience import (
    confirm_seconds,
    grace_seconds,
    longest_soak,
    soak_seconds,
    start_seconds,
)
from agent.workloads.recipe import Recipe
from agent.workloads.records import OldContainer, Part


def recipe(stops_within: int | None = None) -> Recipe:
    body = {} if stops_within is None else {"StopTimeout": stops_within}
    return Recipe(image="sha256:" + "1" * 64, body=body)


def part(stops_within: int | None, **more: float) -> Part:
    """One whose old container may take so long to stop."""
    old = OldContainer(id="o", running=True, healthy="none", recipe=recipe(stops_within))
    return Part(name="web", recipe=recipe(), strategy="weighted", old=old, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("said", "seconds"), [(None, 10), (0, 10), (45, 45), (900, 600)])
def test_a_grace_period_is_what_the_runtime_is_given(said: int | None, seconds: float) -> None:
    assert grace_seconds(recipe(said)) == seconds


def test_old_containers_stop_in_turn_in_each_state_in_which_they_may() -> None:
    parts = [part(300, start_deadline=50.0), part(400, start_deadline=60.0), part(200, soak=7.0)]
    assert confirm_seconds(parts) > 900 + 3 * DRAIN_SECONDS
    assert start_seconds(parts) > 900 + 50 + 60
    assert soak_seconds(parts) > 900 + longest_soak(parts)


def test_one_that_is_the_first_of_its_name_stops_nothing() -> None:
    first = Part(name="web", recipe=recipe(600), strategy="weighted")
    assert confirm_seconds([first]) < 600
