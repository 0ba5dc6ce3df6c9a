"""Whatever nodes, links, clocks and people do: what must never happen in a rollout does not."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from console.rollouts.asks import Ask, Seen, Want
from console.rollouts.judging.analysis import Analysis
from console.rollouts.lost import outstanding
from console.rollouts.record import ENDED, SETTLED, UNTOUCHED, Wish
from console.rollouts.strategy import Amount, Deadlines, Gate, OnFailure, PerGroup, Strategy
from console.rollouts.watching import progress_of, weight_wanted
from console.rollouts.windows import Window, Windows
from console.rollouts.wishes import why_not
from tests.console.rollouts.fleet_double import JUDGED, FleetDouble, Measured

pytestmark = pytest.mark.timeout(120)  # some six thousand steps

WISHES: tuple[Wish, ...] = get_args(Wish)
PEOPLE = ("maria", "jo", "ann")
ANALYSIS = msgspec.structs.replace(JUDGED, patience=60)
# Open for the first half of each hour.
HALF_HOURS = Window(cron="0 * * * *", duration=1800.0)
SITES = ("a", "b")


class Rollouts(RuleBasedStateMachine):
    """One rollout over at most twelve nodes."""

    @initialize(
        waves=st.lists(st.integers(1, 4), min_size=1, max_size=3),
        gate=st.sampled_from(get_args(Gate)),
        on_failure=st.sampled_from(get_args(OnFailure)),
        failures=st.integers(0, 2),
        at_once=st.integers(1, 4),
        weights=st.sampled_from([(10, 50, 100), (100,), (1, 100)]),
        judges=st.booleans(),
        window=st.sampled_from([None, HALF_HOURS]),
        per_site=st.booleans(),
        min_healthy=st.sampled_from([0.0, 8.0]),
        catch_up=st.sampled_from([0.0, 4 * 3600.0]),
    )
    def begin(
        self,
        *,
        waves: list[int],
        gate: Gate,
        on_failure: OnFailure,
        failures: int,
        at_once: int,
        weights: tuple[int, ...],
        judges: bool,
        window: Window | None,
        per_site: bool,
        min_healthy: float,
        catch_up: float,
    ) -> None:
        self.per_site = 1 if per_site else 12
        strategy = Strategy(
            soak=5,
            confirm_within=60,
            min_healthy=min_healthy,
            deadline=Deadlines(prepare=300, apply=120, judge=90, confirm=120, revert=120),
            gate=gate,
            on_failure=on_failure,
            weights=weights,
            analysis=ANALYSIS if judges else Analysis(conditions=()),
            window=window,
            failures=Amount(count=failures),
            max_unavailable=Amount(count=at_once),
            max_unavailable_per=(PerGroup("site", Amount(count=1)),) if per_site else (),
            catch_up=catch_up,
        )
        self.fleet = FleetDouble(waves, strategy, now=1_000_000_800.0)
        self.fleet.rollout.started_by = "jo"  # maria owns it
        self.names = sorted(self.fleet.nodes)
        for number, node in enumerate(self.fleet.rollout.nodes):
            node.groups, node.zone = {"site": SITES[number % 2]}, "Asia/Kathmandu"
            double = self.fleet.nodes[node.name]
            double.slow, double.lacks, double.weighted = number % 4, number % 3, number % 3 > 0
            double.lingers = number % 2
        answer = self.fleet.answer

        def asked(want: Want) -> Seen:
            node = self.fleet.rollout.node(want.node)
            if want.ask in ("confirm", "revert"):
                assert (node.back or node.stage == "reverting") == (want.ask == "revert")
            return answer(want)

        self.fleet.answer = asked  # type: ignore[method-assign]
        self.newer: set[str] = set()  # that a newer rollout has

    # what happens

    @rule(seconds=st.sampled_from([0, 1, 1, 1, 3, 30, 100, 2000]))
    def time_passes(self, seconds: float) -> None:
        before = self.stages()
        opened = self.open_now(self.fleet.now + seconds)
        self.fleet.tick(seconds)
        for name, stage in self.stages().items():
            if stage == "applying" and before[name] in UNTOUCHED:
                assert opened, "nobody begins to change outside of its window"

    @rule(number=st.integers(0, 11), what=st.sampled_from(["away", "mute", "fails", "refuses",
                                                           "sticks", "lags"]))  # fmt: skip
    def a_node_changes(self, number: int, what: str) -> None:
        node = self.fleet.nodes[self.names[number % len(self.names)]]
        setattr(node, what, not getattr(node, what))

    @rule(number=st.integers(0, 11), what=st.sampled_from(["away", "mute"]))
    def a_link_is_down_for_longer_than_a_lease(self, number: int, what: str) -> None:
        begun = ("applying", "canary", "confirming", "reverting")
        found = [name for name, stage in self.stages().items() if stage in begun]
        if found:
            setattr(self.fleet.nodes[found[number % len(found)]], what, True)
            self.fleet.run(240, step=7)

    @rule(
        numbers=st.sets(st.integers(0, 11), min_size=1),
        ask=st.sampled_from(["apply", "confirm", "confirm", "revert"]),
    )
    def links_are_cut_when_nodes_are_asked_something(self, numbers: set[int], ask: Ask) -> None:
        """What they are told arrives, and for longer than a lease nothing is heard of them."""
        for number in numbers:
            self.fleet.nodes[self.names[number % len(self.names)]].mute_from = ask
        self.go_on(60)

    @rule(
        number=st.integers(0, 11),
        what=st.sampled_from(["away", "mute"]),
        wish=st.sampled_from(["undo", "undo-at-once", "abort-all"]),
    )
    def it_is_taken_back_while_a_link_is_down(self, number: int, what: str, wish: Wish) -> None:
        done = [name for name, stage in self.stages().items() if stage == "done"]
        if not done or self.fleet.steering.wish(wish, "ann", self.fleet.now) is not None:
            return
        name = done[number % len(done)]
        setattr(self.fleet.nodes[name], what, True)
        self.fleet.run(240, step=7)
        node = self.fleet.rollout.node(name)
        assert not node.failed or node.stage != "lost", "whoever was well has not failed by silence"

    @rule(number=st.integers(0, 11), what=st.sampled_from(get_args(Measured)))
    def a_node_measures(self, number: int, what: Measured) -> None:
        self.fleet.nodes[self.names[number % len(self.names)]].measured = what

    @rule(wish=st.sampled_from(WISHES), who=st.sampled_from(PEOPLE))
    def somebody_wants_something(self, wish: Wish, who: str) -> None:
        rollout = self.fleet.rollout
        before = rollout.state
        refusal = self.fleet.steering.wish(wish, who, self.fleet.now)
        if refusal is not None:
            assert rollout.state == before
        elif wish == "promote" and rollout.strategy.gate == "approval":
            assert who == "ann"

    @rule()
    def the_runner_is_killed(self) -> None:
        self.fleet.kill_runner()

    @rule(by=st.sampled_from([-90_000.0, 90_000.0]))
    def the_clock_is_set(self, by: float) -> None:
        before = self.stages()
        self.fleet.now += by
        for node in self.fleet.nodes.values():
            node.renewed_at += by  # by a clock that nobody sets
        self.fleet.steering.jumped(by, self.fleet.now)
        self.fleet.steering.step(self.fleet.now)
        gone = {name for name, stage in self.stages().items() if stage != before[name]}
        assert not {"lost", "offline", "stuck"} & {self.stages()[name] for name in gone}

    @rule(number=st.integers(0, 11))
    def a_newer_rollout_begins(self, number: int) -> None:
        name = self.names[number % len(self.names)]
        before = self.stages()
        rollout = self.fleet.rollout
        # It is refused while this one holds the node.
        if rollout.stands_until is None or before[name] not in SETTLED:
            return
        self.newer.add(name)
        self.fleet.steering.supersede({name: "bb"}, self.fleet.now)
        assert self.stages() == before | ({name: "skipped"} if before[name] == "offline" else {})
        assert self.fleet.rollout.node(name).lost_in is None

    # what must hold

    @invariant()
    def no_more_change_at_a_time_than_may(self) -> None:
        if not hasattr(self, "fleet"):
            return
        strategy = self.fleet.rollout.strategy
        now = [node for node in self.fleet.rollout.nodes if node.stage == "applying"]
        assert len(now) <= strategy.at_once(len(self.names))
        sites = Counter(node.groups["site"] for node in now)
        assert all(count <= self.per_site for count in sites.values())

    @invariant()
    def nobody_is_confirmed_unwatched_or_undecided(self) -> None:
        if not hasattr(self, "fleet"):
            return
        rollout = self.fleet.rollout
        for node in rollout.nodes:
            if node.stage != "confirming":
                continue
            progress = progress_of(rollout, node)
            assert progress.soaks_since is not None
            soaked = self.fleet.now - progress.soaks_since >= rollout.strategy.soak
            judged = node.judged == "pass" or not rollout.strategy.judges
            assert (soaked and judged) or progress.promoted
            assert node.weight in (None, 100)

    @invariant()
    def a_later_wave_waits(self) -> None:
        if hasattr(self, "fleet"):
            rollout = self.fleet.rollout
            begun = {"preparing", "prepared", "held", "applying", "canary", "confirming"}
            assert not any(
                node.stage in begun
                for node in rollout.nodes
                if node.wave > rollout.wave and node.alone is None
            )

    @invariant()
    def what_is_told_is_so(self) -> None:
        if not hasattr(self, "fleet"):
            return
        for node in self.fleet.rollout.nodes:
            there = self.fleet.nodes[node.name]
            if node.stage == "done":
                assert there.state == "done"
            elif node.stage == "reverted" or node.stage in UNTOUCHED:
                assert there.state in (None, "reverted")
            elif node.stage == "offline":
                assert there.state in (None, "reverted"), "nothing was changed there"
            elif node.stage == "lost":
                unknown = "it is not known" in node.why
                assert unknown or node.failed
                assert node.lost_in != "confirming" or not node.failed
                heard = node.heard_at > node.since
                assert not (heard and node.back and node.lost_in), "it goes back, and says so"
                assert unknown or there.state != "done", "it cannot have been confirmed"
                assert node.lost_in is not None or node.name in self.newer
            assert there.applied <= node.attempt

    @invariant()
    def no_weight_goes_before_the_others(self) -> None:
        if not hasattr(self, "fleet"):
            return
        rollout = self.fleet.rollout
        for node in rollout.nodes:
            there = self.fleet.nodes[node.name]
            if node.stage == "canary" and there.weight is not None and there.state == "canary":
                assert there.weight <= weight_wanted(rollout, node)

    @invariant()
    def only_done_ones_stand(self) -> None:
        if not hasattr(self, "fleet"):
            return
        # A runner writes nothing down between what it hears and this.
        self.fleet.steering.step(self.fleet.now)
        rollout = self.fleet.rollout
        if rollout.stands_until is not None:
            assert rollout.state in ENDED
            may_return = rollout.state == "done" and rollout.strategy.catch_up > 0
            alone = any(node.stage not in SETTLED for node in rollout.nodes)
            assert may_return or alone or outstanding(rollout.nodes)

    @precondition(lambda self: hasattr(self, "fleet"))
    @rule()
    def it_comes_to_an_end_when_all_is_well_again(self) -> None:
        for node in self.fleet.nodes.values():
            node.away = node.mute = node.sticks = node.lags = False
            node.measured, node.mute_from = "well", None
        self.go_on(2000)
        rollout = self.fleet.rollout
        assert rollout.state in ENDED
        assert not rollout.wants_runner
        assert all(node.stage in SETTLED for node in rollout.nodes)
        assert not outstanding(rollout.nodes)

    # inside

    def go_on(self, ticks: int) -> None:
        """Somebody lets it through whatever waits for a person."""
        for _ in range(ticks):
            rollout = self.fleet.rollout
            if not rollout.wants_runner:
                break
            for wish in ("resume", "promote"):
                if rollout.state in ("paused", "gate") and not why_not(rollout, wish, "ann"):
                    self.fleet.steering.wish(wish, "ann", self.fleet.now)
            self.fleet.tick(7)

    def stages(self) -> dict[str, str]:
        return {node.name: str(node.stage) for node in self.fleet.rollout.nodes}

    def open_now(self, now: float) -> bool:
        windows = Windows(self.fleet.rollout.strategy.window)
        return windows.why_closed("Asia/Kathmandu", now) is None


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
