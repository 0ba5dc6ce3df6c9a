"""Nodes without a wire: they answer what a rollout wants of them, as agents do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal

import msgspec

from agent.protocol.arms import Arms, Figure
from agent.protocol.decoding import from_json
from agent.protocol.deployments import DeploymentState
from console.rollouts.asks import Ask, Seen, Want
from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.record import Event, Judged, Rollout, RolloutNode
from console.rollouts.steering import Steering
from console.rollouts.strategy import Strategy
from tests.console.rollouts.judging.arms_made import arm, arms, even

# What a node tells of its candidate: few: it got too few requests; blind: that cannot be measured
# there; broken: what measures it fails; nothing: no container of it is another one.
Measured = Literal["well", "bad", "few", "blind", "broken", "nothing"]

JUDGED = Analysis(
    conditions=(
        Condition(of="restarts", at_most=0),
        Condition(of="error_rate", at_most=0.5, least=100),
        Condition(of="measure", name="accuracy", at_least=0.9),
    )
)


class NodeDouble(msgspec.Struct):
    """A simulated node: how its deployment is, and how it will behave."""

    state: DeploymentState | None = None
    fails: bool = False  # it does not get well, and goes back by itself
    away: bool = False
    mute: bool = False  # what it is asked arrives, and its answers do not
    mute_from: Ask | None = None  # from when it is asked this
    attempt: int = 0  # the newest that it was told to change by
    refuses: bool = False
    has_it: bool = False
    sticks: bool = False  # it cannot go back
    lingers: int = 0  # answers that it takes to go back
    lacks: int = 0  # answers that it takes to have all that it needs
    slow: int = 0  # answers that it takes to get well
    measured: Measured = "well"  # of its candidate
    weighted: bool = False
    weight: int | None = None
    lags: bool = False  # it does not get to another weight
    read: int = 0  # how often what it measures was asked for
    renewed_at: float = 0.0
    applied: int = 0
    boot: str | None = None  # of its agent, where that is what is upgraded


class FleetDouble:
    """All nodes of one rollout, its steering, and a clock that stands still until it is moved."""

    def __init__(
        self, waves: Sequence[int], strategy: Strategy, *, now: float = 1_000_000.0
    ) -> None:
        self.now = now
        names = [
            RolloutNode(name=f"n{wave}-{number}", wave=wave)
            for wave, count in enumerate(waves)
            for number in range(count)
        ]
        self.rollout = Rollout(
            id="r1",
            release="app",
            version="0" * 12,
            file="app.yaml",
            owner="maria",
            created_at=self.now,
            strategy=strategy,
            nodes=names,
            state="running",
        )
        self.events: list[Event] = []
        self.steering = Steering(self.rollout, self.events.append)
        self.nodes = {each.name: NodeDouble() for each in names}
        self.random = Random(0)

    def goes_on(self) -> bool:
        """Whether a runner has something left to do."""
        return self.rollout.wants_runner

    def stage(self, name: str) -> str:
        return next(each.stage for each in self.rollout.nodes if each.name == name)

    def kill_runner(self) -> None:
        """Another steers on from the record, as it is in the journal."""
        kept = from_json(msgspec.json.encode(self.rollout), Rollout)
        judged = from_json(msgspec.json.encode(self.steering.judged), dict[str, Judged])
        self.rollout = kept
        self.steering = Steering(kept, self.events.append, judged)

    def stages(self) -> dict[str, int]:
        return {str(stage): count for stage, count in self.rollout.counts().items()}

    def tick(self, seconds: float = 1.0) -> None:
        """One round of a runner."""
        self.now += seconds
        self.steering.step(self.now)
        for want in self.steering.wants():
            self.steering.hear(self.answer(want), self.now)

    def run(self, seconds: float, *, step: float = 1.0) -> None:
        """So much time passes."""
        end = self.now + seconds
        while self.now < end:
            self.tick(step)

    def run_until(self, state: str) -> None:
        """Until the rollout is in that state."""
        while self.rollout.state != state:
            self.tick()

    def answer(self, want: Want) -> Seen:
        """What that node says, and what it does by itself meanwhile."""
        node = self.nodes[want.node]
        if node.mute_from == want.ask:
            node.mute, node.mute_from = True, None
        seen = self._answer(node, want)
        if node.mute:
            tried = want.ask == "apply"
            return Seen(node=want.node, what="unreached", tried=tried, why="the answer is lost")
        return seen

    def _answer(self, node: NodeDouble, want: Want) -> Seen:
        lease = self.rollout.strategy.confirm_within
        if node.state == "canary" and self.now - node.renewed_at > lease:
            node.state = "reverted"
        if node.away:
            return Seen(node=want.node, what="unreached", why="no route")
        if want.ask == "reach":
            return Seen(node=want.node, what="reached")
        if want.ask == "arms":
            node.read += 1
            return Seen(node=want.node, what="arms", arms=arms_of(node, self.now))
        if want.ask == "prepare":
            return self._prepare(want.node, node)
        if want.ask == "apply":
            return self._apply(want.node, node)
        if want.ask == "revert" and node.state is None:
            return Seen(node=want.node, what="nothing")
        self._live(node, want)
        if node.state in ("reverted", "stuck"):
            node.weight = None
        why = "it is not well" if node.state == "reverted" and node.fails else ""
        return Seen(
            node=want.node,
            what="state",
            state=node.state,
            weight=node.weight,
            boot=node.boot,
            why=why,
        )

    def _live(self, node: NodeDouble, want: Want) -> None:
        if want.ask == "revert" and node.state not in ("reverted", "stuck"):
            node.lingers -= 1
            ended: DeploymentState = "stuck" if node.sticks else "reverted"
            node.state = ended if node.lingers < 0 else "reverting"
        elif want.ask == "confirm" and node.state == "canary":
            node.state = "done"
        elif node.state == "starting":
            node.slow -= 1
            if node.slow < 0:
                node.state, node.renewed_at = ("reverted" if node.fails else "canary"), self.now
                node.weight = 0 if node.weighted else None
        elif want.ask == "renew" and node.state == "canary":
            if node.fails:
                node.state = "reverted"
            node.renewed_at = self.now
            if node.weighted and not node.lags:
                node.weight = want.weight

    def _prepare(self, name: str, node: NodeDouble) -> Seen:
        if node.refuses:
            return Seen(node=name, what="refused", why="no such image")
        node.lacks -= 1
        return Seen(node=name, what="prepared" if node.lacks < 0 else "preparing", why="40 %")

    def _apply(self, name: str, node: NodeDouble) -> Seen:
        attempt = self.rollout.node(name).attempt
        if attempt != node.attempt:
            if node.has_it:
                return Seen(node=name, what="unchanged")
            if node.refuses:
                return Seen(node=name, what="refused", why="no such image")
            node.attempt = attempt
            if node.state in (None, "reverted"):
                node.state, node.applied = "starting", node.applied + 1
        return Seen(node=name, what="begun", deployment=f"d-{name}-{node.applied}")


def arms_of(node: NodeDouble, now: float) -> Arms:
    """What such a node tells of its arms."""
    if node.measured == "nothing":
        return Arms(deployment="d1")
    accuracy = Figure(count=node.read, last=0.95, last_at=now, lowest=0.95, highest=0.95)
    if node.measured == "broken":
        accuracy = Figure(errors=node.read, unknown="the command ended with 3")
    candidate = arm(
        even(3 if node.measured == "few" else 1000),
        restarts={"bad": 2, "blind": None}.get(node.measured, 0),
        measures={"accuracy": accuracy},
        unknown={"restarts": "the runtime does not tell"} if node.measured == "blind" else {},
    )
    return arms(candidate, arm(even(1000)), weight=node.weight)


async def until(holds: Callable[[], bool]) -> None:
    """Wait; the test's own time-out is the limit."""
    while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - it is on disk
        await asyncio.sleep(0.01)
