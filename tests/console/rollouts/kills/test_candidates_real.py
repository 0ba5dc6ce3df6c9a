"""Candidates under real HTTP load, judged by what a real node measured of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.measures import PrometheusMeasure, Replay
from console.rollouts.judging.analysis import Analysis, Condition
from tests.agent.traffic.weighted import Load
from tests.console.rollouts.kills import candidate
from tests.console.rollouts.kills.scene import Running, staged
from tests.console.rollouts.kills.shop import Shop
from tests.real import python_image
from tests.waiting import wait_until

pytestmark = [pytest.mark.real("docker", "haproxy"), pytest.mark.timeout(180)]

MEGABYTE = 1_000_000
MEMORY = PrometheusMeasure(
    name="memory", port=candidate.PORT, metric=candidate.RESIDENT, interval=1.0
)
ERRORS = Condition(of="error_rate", worse_by=0.25, above=0.001, least=200)
SLOWNESS = Condition(of="latency", quantile=0.5, worse_by=0.1, least=200)
NO_LEAK = Condition(of="measure", name="memory", at_most=120 * MEGABYTE, consecutive=2)


def judged(*conditions: Condition, **more: Any) -> Analysis:
    return Analysis(conditions=conditions, measures={"web": (MEMORY,)}, **more)


@pytest.fixture(scope="module")
def shop(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[Shop]:
    with staged(make_short_folder, Shop) as shop:
        python_image.load_plain(shop.engine)
        yield shop


def failed(shop: Shop, running: Running, load: Load) -> tuple[str, list[str]]:
    """Why the candidate failed, and what requests met; the old one has all of them again."""
    rollout = running.ended()
    [node] = rollout.nodes
    assert (rollout.state, node.stage) == ("failed", "reverted"), running.said()
    assert running.said().count("judged: fail") == 1
    asyncio.run(load.mark("after"))
    assert shop.answer() == shop.version
    assert (shop.deployment()["state"], shop.deployment()["weight"]) == ("reverted", 0)
    told = asyncio.run(load.end())
    assert set(told.answers["after"]) <= {shop.version}
    events = running.journal.events(running.rollout)
    [why] = [event.why for _, event in events if event.what == "judged: fail"]
    return why, told.failed


def test_one_that_is_slower_goes_back(shop: Shop) -> None:
    with shop.let_out(100, judged(SLOWNESS, ERRORS), SLOWER="0.05") as (running, load):
        why, lost = failed(shop, running, load)
    assert "p50" in why
    assert lost == []


def test_one_that_fails_5_percent_goes_back(shop: Shop) -> None:
    with shop.let_out(200, judged(ERRORS), FAILS="20") as (running, load):
        why, lost = failed(shop, running, load)
    assert "of its last" in why  # so many failed
    assert lost  # they were real
    assert {each.split(": ")[0] for each in lost} == {"start"}
    assert {each.split(": ")[1].split()[0] for each in lost} == {"500"}


def test_one_that_leaks_goes_back(shop: Shop) -> None:
    """Each request leaves half a megabyte behind."""
    analysis = judged(NO_LEAK, ERRORS)
    with shop.let_out(100, analysis, soak=60.0, LEAKS="500000") as (running, load):
        why, lost = failed(shop, running, load)
    assert "memory" in why
    assert lost == []


def test_one_that_is_well_gets_through(shop: Shop) -> None:
    with shop.let_out(100, judged(ERRORS, NO_LEAK)) as (running, load):
        rollout = running.ended()
        assert rollout.state == "done"
        assert asyncio.run(load.end()).failed == []
    shop.version = shop.answer()


def test_one_that_gets_3_requests_a_minute_is_left_to_a_person(shop: Shop) -> None:
    """Too little is never a pass: it waits where it is, until somebody decides."""
    with shop.let_out(3 / 60, judged(ERRORS, patience=2.0)) as (running, load):
        wait_until(lambda: running.now().state == "paused")
        rollout = running.now()
        [node] = rollout.nodes
        assert (node.stage, node.weight, node.judged) == ("canary", 50, "inconclusive")
        assert "could not be judged" in rollout.why
        running.journal.wish(running.rollout, "abort", by="jo")
        assert running.ended().state == "aborted"
        assert asyncio.run(load.end()).failed == []
    assert shop.answer() == shop.version


def test_replays_are_enough_for_it(shop: Shop) -> None:
    replays = {"web": Replay(port=candidate.PORT, rate=100)}
    with shop.let_out(3 / 60, judged(ERRORS, replays=replays)) as (running, load):
        rollout = running.ended()
        assert (rollout.state, rollout.nodes[0].judged) == ("done", "pass"), running.said()
        assert asyncio.run(load.end()).failed == []
    shop.version = shop.answer()
