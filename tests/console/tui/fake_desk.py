"""Rollouts in a real journal, and a desk whose runners are only asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.protocol.problems import ProblemError
from console.rollouts.journal import Journal
from console.rollouts.judging.judge import Finding
from console.rollouts.judging.looks import ConditionLooks, NodeLooks, Point
from console.rollouts.record import Event, Judged, Progress, Rollout, RolloutNode, Stage, State
from console.rollouts.strategy import Gate, Strategy
from tests.console.tui import fakes


class FakeDesk:
    """`refuses`: why a plan cannot be started."""

    def __init__(self, folder: Path, by: str = "maria@depot") -> None:
        self._folder, self.by, self.host = folder, by, "depot"
        self.asked: list[str] = []
        self.begun: list[str] = []
        self.refuses: ProblemError | None = None

    def journal(self) -> Journal:
        return Journal(self._folder)

    def steer(self, rollout_id: str) -> str:
        self.asked.append(rollout_id)
        return "started"

    def start(self, rollout_id: str) -> str:
        if self.refuses is not None:
            raise self.refuses
        self.begun.append(rollout_id)
        self.journal().begin(rollout_id, by=self.by)
        return "started"


def make_rollout(
    rollout_id: str = "aa11bb22",
    waves: Sequence[Sequence[Stage]] = (("done",), ("canary", "canary", "applying"), ("planned",)),
    *,
    state: State = "running",
    release: str = "app",
    gate: Gate = "auto",
    why: str = "",
    ago: float = 60.0,
    prefix: str = "n",
) -> Rollout:
    """Nodes are n1-0, n2-0, n2-1 ...; the wave under way is the last that has begun."""
    nodes = [
        RolloutNode(
            name=f"{prefix}{wave + 1}-{number}",
            wave=wave,
            stage=stage,
            since=fakes.NOW - ago,
            deployment="d1" if stage in ("canary", "done", "applying", "confirming") else None,
            judged="pass" if stage == "canary" else None,
            weight=10 if stage == "canary" else None,
            why="it did not answer" if stage in ("offline", "stuck") else "",
        )
        for wave, stages in enumerate(waves)
        for number, stage in enumerate(stages)
    ]
    begun = [node.wave for node in nodes if node.stage not in ("planned", "cannot", "skipped")]
    return Rollout(
        id=rollout_id,
        release=release,
        version="2c2cc5231f16",
        file="app.yaml",
        owner="maria@depot",
        started_by="" if state == "planned" else "maria@depot",
        created_at=fakes.NOW - 3600,
        strategy=Strategy(gate=gate),
        nodes=nodes,
        state=state,
        since=fakes.NOW - ago,
        wave=max(begun, default=0),
        why=why,
        progress=Progress(since=fakes.NOW - ago, soaks_since=fakes.NOW - ago),
    )


def keep(desk: FakeDesk, *rollouts: Rollout) -> None:
    """Into the journal, the oldest first, each as planned before."""
    journal = desk.journal()
    for rollout in rollouts:
        state, rollout.state = rollout.state, "planned"
        journal.plan(rollout, {})
        rollout.state = state
        journal.save(rollout)


def tell(desk: FakeDesk, rollout: Rollout, *events: str) -> None:
    """The rollout as it is now, and what happened, each a few words."""
    told = [Event(at=fakes.NOW, by="the runner", what=what) for what in events]
    desk.journal().save(rollout, told)


def judged(outcome_of_p99: str = "pass") -> Judged:
    """A p99 that rises, compared; restarts; and what cannot be measured."""
    rising = tuple(Point(10.0 * n, 0.040 + 0.002 * n, 0.040) for n in range(8))
    findings = [
        Finding(key="web/restarts", outcome="pass", words="restarts 0, 0 may be", candidate=0.0),
        Finding(
            key="web/p99.stable",
            outcome="fail" if outcome_of_p99 == "fail" else "pass",
            words="p99 54 ms, stable 40 ms",
            candidate=0.054,
            stable=0.040,
            unit="s",
            samples=1200,
        ),
        Finding(key="web/gpu_memory", outcome="wait", words="it is not told by process"),
    ]
    looks = NodeLooks(conditions={"web/p99.stable": ConditionLooks(history=rising)})
    return Judged(
        deployment="d1",
        at=fakes.NOW,
        soaked=70.0,
        outcome=findings[1].outcome,
        findings=findings,
        looks=looks,
    )


def judge(desk: FakeDesk, rollout: Rollout, node: str, found: Judged) -> None:
    """What a look at the node has come to."""
    desk.journal().save(rollout, judged={node: found})
