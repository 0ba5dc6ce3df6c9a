"""Whatever nodes, links and people do: what must never happen in a rollout does not."""

from __future__ import annotations

from typing import get_args

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from console.rollouts.judging.analysis import Analysis
from console.rollouts.record import ENDED, SETTLED, Wish
from console.rollouts.strategy import Amount, Deadlines, Strategy
from console.rollouts.wishes import why_not
from tests.console.rollouts.fleet_double import FleetDouble

pytestmark = pytest.mark.timeout(120)  # some six thousand steps

WISHES: tuple[Wish, ...] = get_args(Wish)
LONG_SECONDS = 3600


class Rollouts(RuleBasedStateMachine):
    """One rollout over at most twelve nodes."""

    @initialize(
        waves=st.lists(st.integers(1, 4), min_size=1, max_size=3),
        gate=st.sampled_from(["auto", "manual"]),
        on_failure=st.sampled_from(["revert-wave", "revert-all", "pause"]),
        failures=st.integers(0, 2),
        at_once=st.integers(1, 4),
    )
    def begin(
        self, waves: list[int], gate: str, on_failure: str, failures: int, at_once: int
    ) -> None:
        self.at_once = at_once
        self.fleet = FleetDouble(
            waves,
            Strategy(
                soak=5,
                confirm_within=60,
                min_healthy=0,
                analysis=Analysis(conditions=()),
                deadline=Deadlines(apply=120),
                gate=gate,  # type: ignore[arg-type]
                on_failure=on_failure,  # type: ignore[arg-type]
                failures=Amount(count=failures),
                max_unavailable=Amount(count=at_once),
            ),
        )
        self.names = sorted(self.fleet.nodes)
        for number, name in enumerate(self.names):
            self.fleet.nodes[name].slow = number % 4

    @rule(seconds=st.sampled_from([0, 1, 1, 1, 3, 30, 100]))
    def time_passes(self, seconds: float) -> None:
        self.fleet.tick(seconds)

    @rule(number=st.integers(0, 11), what=st.sampled_from(["away", "fails", "refuses", "sticks"]))
    def a_node_changes(self, number: int, what: str) -> None:
        node = self.fleet.nodes[self.names[number % len(self.names)]]
        setattr(node, what, not getattr(node, what))

    @rule(wish=st.sampled_from(WISHES))
    def somebody_wants_something(self, wish: Wish) -> None:
        before = self.fleet.rollout.state
        refusal = self.fleet.steering.wish(wish, "maria", self.fleet.now)
        if refusal is not None:
            assert self.fleet.rollout.state == before

    @invariant()
    def no_more_change_at_a_time_than_may(self) -> None:
        if hasattr(self, "fleet"):
            assert self.fleet.stages().get("applying", 0) <= self.at_once

    @invariant()
    def nobody_is_confirmed_unwatched(self) -> None:
        if not hasattr(self, "fleet"):
            return
        rollout = self.fleet.rollout
        if any(node.stage == "confirming" for node in rollout.in_wave()):
            assert rollout.progress.soaks_since is not None
            soaked = self.fleet.now - rollout.progress.soaks_since >= rollout.strategy.soak
            assert soaked or rollout.progress.promoted

    @invariant()
    def a_later_wave_waits(self) -> None:
        if hasattr(self, "fleet"):
            rollout = self.fleet.rollout
            begun = {"applying", "canary", "confirming"}
            assert not any(
                node.stage in begun for node in rollout.nodes if node.wave > rollout.wave
            )

    @invariant()
    def what_is_told_is_so(self) -> None:
        if not hasattr(self, "fleet"):
            return
        for node in self.fleet.rollout.nodes:
            there = self.fleet.nodes[node.name]
            if node.stage == "done":
                assert there.state == "done"
            elif node.stage == "reverted":
                assert there.state in (None, "reverted")
            assert there.applied <= node.attempt

    @precondition(lambda self: hasattr(self, "fleet"))
    @rule()
    def it_comes_to_an_end_when_all_is_well_again(self) -> None:
        for node in self.fleet.nodes.values():
            node.away = node.sticks = False
        rollout, steering = self.fleet.rollout, self.fleet.steering
        wishes: tuple[Wish, ...] = ("resume", "promote")
        for _ in range(400):
            if rollout.state in ENDED:
                break
            for wish in wishes:
                if rollout.state in ("paused", "gate") and why_not(rollout, wish, "maria") is None:
                    steering.wish(wish, "maria", self.fleet.now)
            self.fleet.tick(5)
        assert rollout.state in ENDED
        assert all(node.stage in SETTLED for node in rollout.nodes)


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
