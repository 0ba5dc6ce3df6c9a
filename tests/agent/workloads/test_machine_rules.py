"""What always holds of a node's deployments, whoever dies, asks or fails, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.protocol.problems import ProblemError
from agent.workloads import candidates, machine
from agent.workloads.records import DeploymentRecord, WorkloadStore
from tests.agent.workloads.memory_side import MemorySide, serving
from tests.agent.workloads.moved_loop import MovedLoop

T = TypeVar("T")

LEASE = 60.0
# Long enough for a lease to run out, and for all that may be waited for on the way back.
REST_SECONDS, RESTS = LEASE, 10
OVER = ("done", "reverted")


class Deployments(RuleBasedStateMachine):
    """One workload of one node, weighted at first."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        clock = SimpleNamespace(time=lambda: 1e9, monotonic=self.now)
        self.patch.setattr(machine, "time", clock)
        self.patch.setattr(candidates, "time", clock)
        self.ended: list[MovedLoop] = []
        self.loop = MovedLoop()
        self.versions = 0
        self.died = False  # a candidate, in the deployment that is under way
        self.side = self.done(made())

    def now(self) -> float:
        return self.loop.time()

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def refused(self, work: Coroutine[Any, Any, object]) -> str | None:
        """Why, by its code; None: it was done."""
        try:
            self.done(work)
        except ProblemError as problem:
            return problem.code
        return None

    @property
    def record(self) -> DeploymentRecord:
        return self.side.record

    @property
    def state(self) -> str:
        return self.record.shown.state

    def written(self) -> DeploymentRecord:
        """The newest deployment as another agent would read it."""
        _, deployments = WorkloadStore(self.side._database)._read()
        return deployments[-1]

    def under_way(self) -> bool:
        return self.state not in OVER

    def has_candidate(self) -> bool:
        """One that was started, and has not the place of the old one yet."""
        new = self.record.parts[0].new
        container = self.side.runtime.containers().get(new or "")
        return self.state in ("starting", "probing", "canary") and container is not None

    def candidate_becomes(self, **changed: Any) -> None:
        container = self.side.runtime.containers()[self.record.parts[0].new]
        self.side.runtime.put(msgspec.structs.replace(container, **changed))

    # What people and runners do

    @rule(
        strategy=st.sampled_from(["weighted", "weighted", "start-then-stop", "stop-then-start"]),
        confirm=st.sampled_from(["manual", "manual", "auto"]),
        steered=st.booleans(),
    )
    def begin(self, strategy: str, confirm: str, steered: bool) -> None:
        busy, before = self.under_way(), self.record.shown.id
        self.versions += 1
        workload = serving(f"v{self.versions}", strategy=strategy, start_deadline=20.0, soak=1.0)
        options = {"confirm": confirm, "confirm_within": LEASE}
        if steered:
            options |= {"confirm": "manual", "steered_by": "r1"}
        refused = self.refused(self.side.apply(workload, **options))
        if refused is not None:
            assert busy
            assert refused in ("deployment.under_way", "job.locked")
            assert self.record.shown.id == before
            return
        if busy:  # it came to its end as this was asked for
            deployments = self.side.workloads._store.deployments()
            [earlier] = [each for each in deployments if each.shown.id == before]
            assert earlier.shown.state in OVER
        self.died = False

    @rule(weight=st.sampled_from([None, 0, 10, 50, 100]))
    def renew(self, weight: int | None) -> None:
        deployments = self.side.workloads.deployments
        shown = self.done(deployments.renew(self.record.shown.id, weight=weight))
        if shown.state == "canary":
            assert shown.lease_seconds_left == LEASE
            assert weight in (None, self.written().weight_told)

    @rule()
    def confirm(self) -> None:
        shown = self.done(self.side.workloads.deployments.confirm(self.record.shown.id))
        assert shown.confirmed == self.written().shown.confirmed
        assert shown.confirmed or shown.state in (*OVER, "reverting")

    @precondition(lambda self: self.versions > 0)
    @rule()
    def revert(self) -> None:
        before, was = self.record.shown.id, self.state
        deployments = self.side.workloads.deployments
        refused = self.refused(deployments.revert(before, by="jo", why="a rule"))
        if was == "reverted":
            assert refused == "deployment.reverted"
        else:  # one on its way may be back as this is asked for
            assert refused is None or (was, refused) == ("reverting", "deployment.reverted")
        assert self.state in ("reverting", "reverted")

    # What happens

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0]))
    def step(self, seconds: float) -> None:
        self.done(asyncio.sleep(seconds))
        self.side.clock.at += seconds

    @rule(turns=st.integers(1, 60))
    def turns(self, turns: int) -> None:
        """As far as it gets in so many turns of the loop: also into the middle of a step."""

        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.done(turn())

    @rule()
    def kill(self) -> None:
        """The agent ends where it is, and does nothing more; another one starts."""
        self.ended.append(self.loop)
        self.loop = MovedLoop()
        self.done(self.side.replaced())

    @rule()
    def lose_the_runtime(self) -> None:
        self.side.runtime.set_away("it was killed")
        self.done(asyncio.sleep(1.0))
        self.side.runtime.set_away(None)

    @precondition(has_candidate)
    @rule()
    def die(self) -> None:
        self.candidate_becomes(state="exited", exit_code=1, health="none")
        self.died = True

    @precondition(has_candidate)
    @rule(health=st.sampled_from(["starting", "unhealthy", "healthy"]))
    def probe(self, health: str) -> None:
        self.candidate_becomes(health=health)

    @rule()
    def lease_runs_out(self) -> None:
        self.side.clock.at += LEASE + 1

    # What always holds

    @invariant()
    def one_is_under_way_at_most(self) -> None:
        store = self.side.workloads._store
        assert sum(each.shown.state not in OVER for each in store.deployments()) <= 1

    @invariant()
    def the_old_one_is_kept_until_it_is_done(self) -> None:
        old = self.record.parts[0].old
        if self.under_way():
            assert old is not None
            assert old.id in self.side.runtime.containers()

    @invariant()
    def one_of_them_answers(self) -> None:
        """Where both run at once, and none died."""
        part = self.record.parts[0]
        if part.shifts and not self.died:
            there = self.side.runtime.containers()
            running = [each for each in there.values() if each.state == "running"]
            assert running
            targets = self.done(self.side.traffic.targets("web"))
            served = {each.container for each in targets.values() if each.weight}
            assert served & {each.id for each in running}

    @invariant()
    def what_went_back_has_no_weight(self) -> None:
        if self.state == "reverted":
            assert self.record.shown.weight in (None, 0)

    @invariant()
    def at_rest_all_is_as_it_is_written(self) -> None:
        if self.under_way():
            return
        shown, part = self.record.shown, self.record.parts[0]
        record = self.side.workloads._store.workload("web")
        assert record is not None
        assert record.stable == (part.new if shown.state == "done" else shown.workloads[0].old)
        there = self.side.runtime.containers()
        assert [each.id for each in there.values() if each.state == "running"] == [record.stable]
        assert there[record.stable].name == "web"
        assert set(there) == {record.stable, record.kept} - {None}
        for container in there:
            policy = self.side.runtime._bodies[container]["HostConfig"]["RestartPolicy"]["Name"]
            assert policy == ("always" if container == record.stable else "no")
        targets = self.done(self.side.traffic.targets("web"))
        weights = {name: (each.container, each.weight) for name, each in targets.items()}
        assert weights == ({} if record.front is None else {"stable": (record.stable, 100)})

    def teardown(self) -> None:
        """It comes to rest by itself, once nobody does anything any more."""
        try:
            for _ in range(RESTS):
                if self.under_way():
                    self.step(REST_SECONDS)
            assert self.state in OVER, self.record.shown
            self.at_rest_all_is_as_it_is_written()
        finally:
            for loop in (self.loop, *self.ended):
                loop.let_go()
            self.patch.undo()


async def made() -> MemorySide:
    """A node with a workload behind its proxy."""
    side = MemorySide()
    await side.start()
    await side.apply(serving("v0"))
    assert (await side.reaches("done", "reverted", "stuck")).state == "done"
    return side


def test_an_agent_killed_on_the_way_back_is_followed_by_one_that_goes_on() -> None:
    """Also where that was the job of the deployment itself, which is over then."""
    rules = Deployments()
    for module in (machine, candidates):
        rules.patch.setattr(module, "LOOK_SECONDS", 0)
    rules.begin("weighted", "manual", steered=False)
    while rules.state != "canary":
        rules.turns(1)
    rules.die()
    while rules.state != "reverting":
        rules.turns(1)
    rules.kill()
    rules.teardown()


TestDeployments = Deployments.TestCase
TestDeployments.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
