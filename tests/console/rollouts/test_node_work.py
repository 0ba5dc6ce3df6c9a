"""One question to one node whose agent has problems: what is told of it, and what may be so."""

from __future__ import annotations

from typing import cast

import pytest

from agent.protocol.deployments import (
    ApplyRequest,
    Deployment,
    DeploymentState,
    DeployOptions,
    DeployPlan,
    PlannedWorkload,
    WorkloadStatus,
)
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Workload
from console.link.client import NodeClient
from console.rollouts.asks import Ask, Seen, Want
from console.rollouts.node_work import ask_node
from console.rollouts.preparing import Preparer
from tests.console.rollouts.fleet_double import FleetDouble
from tests.console.rollouts.test_steering import CALM

REQUEST = ApplyRequest(release="app@1", workloads=[Workload(name="web", image="app:1")])


class Workloads:
    """Of one node, which raises what it is told to at one of its calls."""

    def __init__(self, fails_at: str, code: str) -> None:
        self.fails_at, self.code = fails_at, code
        self.told: list[str] = []
        self.states: list[DeploymentState] = []  # what it answers in turn
        self.problems: list[ProblemError] = []

    def _call(self, name: str) -> None:
        if name == self.fails_at:
            raise ProblemError(self.code, f"{self.code}!")

    async def list(self) -> list[WorkloadStatus]:
        self._call("find again" if self.told else "find")
        if not self.told:
            return []
        return [
            WorkloadStatus(
                name="web", release="app@1", container=None, state="created", deployment="d1"
            )
        ]

    async def plan_apply(self, request: ApplyRequest) -> DeployPlan:
        self._call("plan")
        problems = [each.problem() for each in self.problems]
        planned = PlannedWorkload(name="web", action="create", problems=problems)
        return DeployPlan(release=request.release, workloads=[planned])

    async def apply(self, request: ApplyRequest, key: str) -> None:
        del request
        self._call("refuse")
        self.told.append(key)
        self._call("apply")

    async def revert(self, name: str) -> None:
        self.told.append(f"revert {name}")
        self._call("revert")

    async def deployment(self, name: str) -> Deployment:
        return Deployment(
            id=name,
            release="app@1",
            state=self.states.pop(0) if self.states else "starting",
            owner="maria",
            created_at=0.0,
            options=DeployOptions(steered_by="r1.1"),
            workloads=[],
            history=[],
        )


class Node:
    def __init__(self, fails_at: str = "", code: str = "") -> None:
        self.workloads = Workloads(fails_at, code)


class FailingPreparer:
    def __init__(self, code: str) -> None:
        self.code = code

    async def look(self, *_: object) -> Seen:
        raise ProblemError(self.code, f"{self.code}!")


async def asked(
    node: Node,
    ask: Ask = "apply",
    *,
    tried: bool = False,
    code: str = "",
    deployment: str | None = None,
) -> Seen:
    rollout = FleetDouble([1], CALM).rollout
    rollout.nodes[0].tried, rollout.nodes[0].deployment = tried, deployment
    return await ask_node(
        cast("NodeClient", node),
        rollout,
        rollout.nodes[0],
        Want("n0-0", ask),
        REQUEST,
        cast("Preparer", FailingPreparer(code)),
    )


async def test_it_is_told_once_and_found() -> None:
    node = Node()
    seen = [await asked(node), await asked(node)]
    assert [(each.what, each.deployment) for each in seen] == [("begun", "d1")] * 2
    assert node.workloads.told == ["r1.1-n0-0"]


async def test_it_is_told_to_go_back_once_and_asked_how_far_it_is() -> None:
    node = Node()
    node.workloads.states = ["canary", "reverting", "reverted"]
    seen = [await asked(node, "revert", deployment="d1") for _ in range(3)]
    assert [each.state for each in seen] == ["reverting", "reverting", "reverted"]
    assert node.workloads.told == ["revert d1"]


@pytest.mark.parametrize(
    ("code", "what", "state"),
    [("deployment.reverted", "state", "reverted"), ("deployment.superseded", "left", None)],
)
async def test_what_came_in_between_when_it_was_to_go_back(
    code: str, what: str, state: str | None
) -> None:
    """It went back by itself, or somebody has deployed something else, which stays."""
    node = Node("revert", code)
    node.workloads.states = ["canary", "reverted"]
    seen = await asked(node, "revert", deployment="d1")
    assert (seen.what, seen.state) == (what, state)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("runtime.unreachable", "not_yet"),
        ("store.failed", "not_yet"),
        ("deployment.under_way", "not_yet"),
        ("job.locked", "not_yet"),
        ("link.unreachable", "unreached"),
        ("node.stopping", "unreached"),
        ("image.not_found", "refused"),
    ],
)
async def test_what_may_pass_is_no_refusal(code: str, what: str) -> None:
    for at in ("find", "plan"):
        seen = await asked(Node(at, code))
        assert (seen.what, seen.tried, seen.why) == (what, False, f"{code}!")
    prepared = await asked(Node(), "prepare", code=code)
    assert (prepared.what, prepared.why) == (what, f"{code}!")


@pytest.mark.parametrize(
    ("code", "what"),
    [("deployment.under_way", "not_yet"), ("placement.none", "refused")],
)
async def test_what_its_plan_says(code: str, what: str) -> None:
    node = Node()
    node.workloads.problems = [ProblemError(code, "taken")]
    assert (await asked(node)).what == what
    assert node.workloads.told == []


@pytest.mark.parametrize(
    ("at", "code", "what"),
    [
        ("apply", "link.timeout", "unreached"),
        ("apply", "node.stopping", "unreached"),
        ("apply", "node.internal", "not_yet"),
        ("apply", "store.failed", "not_yet"),
        ("find again", "link.unreachable", "unreached"),
        ("find again", "runtime.unreachable", "not_yet"),
        ("find again", "image.not_found", "not_yet"),
    ],
)
async def test_after_it_was_told_nothing_is_a_refusal(at: str, code: str, what: str) -> None:
    seen = await asked(Node(at, code))
    assert (seen.what, seen.tried) == (what, True)


async def test_a_refusal_before_it_began_is_one_unless_it_was_told_before() -> None:
    assert (await asked(Node("refuse", "placement.none"))).what == "refused"
    assert (await asked(Node("refuse", "placement.none"), tried=True)).what == "not_yet"


def test_what_may_pass_is_waited_for_until_the_deadline() -> None:
    for stage, ends in (("preparing", "cannot"), ("applying", "reverted")):
        fleet = FleetDouble([1], CALM)
        answer = fleet.answer
        ask = "prepare" if stage == "preparing" else "apply"

        def waits(want: Want, ask: str = ask, answer: object = answer) -> Seen:
            if want.ask == ask:
                return Seen(node=want.node, what="not_yet", why="dockerd starts")
            return cast("Seen", answer(want))  # type: ignore[operator]

        fleet.answer = waits  # type: ignore[method-assign]
        fleet.run(290)
        assert (fleet.stage("n0-0"), fleet.rollout.nodes[0].why) == (stage, "dockerd starts")
        fleet.run_until("failed")
        assert fleet.stage("n0-0") == ends
        assert "within 5m: dockerd starts" in fleet.rollout.why
