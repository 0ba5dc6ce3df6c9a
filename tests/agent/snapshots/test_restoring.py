"""The job that restores: one step after the other, and on after the agent's end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.jobs.jobs import Jobs
from agent.jobs.kind import JobKind, SkippedError
from agent.jobs.work import Work
from agent.protocol.deployments import ApplyRequest
from agent.protocol.engines import BuildRequest, EngineRecipe
from agent.protocol.images import LoadRequest
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import RESTORE, WITHHELD, RestoreRequest
from agent.protocol.workloads import Workload
from agent.snapshots.restoring import RestoreKind
from agent.store.database import Database
from agent.workloads.jobs import DEPLOY, REVERT
from tests.waiting import until

REQUEST = RestoreRequest(
    snapshot="sha256:" + "1" * 64,
    name="old.snapshot",
    load=LoadRequest(source="old"),
    builds=[BuildRequest(recipe=EngineRecipe(model="detector", onnx="detector.onnx"))],
    applies=[
        ApplyRequest(
            release="app",
            workloads=[Workload(name="web", image="app:1", environment={"TOKEN": WITHHELD})],
        )
    ],
    removes=["other", "gone"],
)


class Step(msgspec.Struct):
    what: str


class StepKind(JobKind[Step]):
    """Stands for loads, builds and deployments: it does what a test lets it."""

    name = "step"
    request_type = Step
    at_once = None

    def __init__(self, do: Callable[[str], Any], *, resumable: bool, name: str = "step") -> None:
        self._do, self.resumable, self.name = do, resumable, name

    def subject(self, request: Step) -> str:
        return request.what

    async def run(self, work: Work[Step]) -> dict[str, str]:
        await work.stage("doing", 60)
        await self._do(work.request.what)
        return {}


class Node:
    """Jobs of one agent, and the sides of it that a restore asks."""

    def __init__(self, file: Path, *, resumable: bool = True) -> None:
        self.done: list[str] = []
        self.values: list[str] = []
        self.blocked: set[str] = set()
        self.failing: set[str] = set()
        self.overruled: set[str] = set()
        self.apply_kind = "step"
        self.jobs = Jobs(Database(file))
        for name in ("step", DEPLOY, REVERT):
            self.jobs.register(StepKind(self._do, resumable=resumable, name=name))
        self.jobs.register(RestoreKind(jobs=self.jobs, images=self, engines=self, workloads=self))

    async def _do(self, what: str) -> None:
        await until(lambda: what not in self.blocked)
        if what in self.failing:
            raise ProblemError("deploy.unwell", "it is not well", hint="Look at its log.")
        if what in self.overruled:
            raise SkippedError("it is reverted")
        self.done.append(what)

    async def _begin(self, what: str, owner: str, key: str | None, kind: str = "step") -> Job:
        return await self.jobs.submit(kind, Step(what), owner=owner, key=key)

    async def load(self, request: LoadRequest, *, owner: str, key: str | None) -> Job:
        return await self._begin(f"load {request.source}", owner, key)

    async def build(self, request: BuildRequest, *, owner: str, key: str | None) -> Job:
        return await self._begin(f"build {request.recipe.model}", owner, key)

    async def remembered(self) -> dict[str, list[Workload]]:
        known = Workload(name="web", image="app:0", environment={"TOKEN": "its own"})
        return {"web": [known]}

    async def apply(self, request: ApplyRequest, *, owner: str, key: str | None) -> Job:
        self.values += [each.environment["TOKEN"] for each in request.workloads]
        return await self._begin(f"apply {request.release}", owner, key, self.apply_kind)

    async def remove(self, name: str, *, owner: str, key: str | None) -> Job:
        if name == "gone":
            raise ProblemError("workload.not_found", "no such workload", hint="Look.")
        return await self._begin(f"remove {name}", owner, key)

    async def ended(self, job: Job) -> Job:
        await until(lambda: self.jobs.get(job.id).state in ENDED)
        return self.jobs.get(job.id)

    async def reached(self, what: str) -> None:
        """Until that step is under way."""
        await until(
            lambda: any(j.subject == what and j.state == "running" for j in self.jobs.newest())
        )


ALL = ["load old", "build detector", "apply app", "remove other"]


async def test_one_step_after_the_other(tmp_path: Path) -> None:
    node = Node(tmp_path / "db")
    await node.jobs.start()
    job = await node.ended(await node.jobs.submit(RESTORE, REQUEST, owner="maria"))
    assert (job.state, job.subject, job.alike) == ("succeeded", "old.snapshot", REQUEST.snapshot)
    assert node.done == ALL
    assert node.values == ["its own"]
    assert job.result["workload gone"] == "was removed already"
    await node.jobs.stop()


async def test_the_same_request_finds_the_job(tmp_path: Path) -> None:
    node = Node(tmp_path / "db")
    node.blocked = {"build detector"}
    await node.jobs.start()
    first = await node.jobs.submit(RESTORE, REQUEST, owner="maria")
    await node.reached("build detector")
    assert (await node.jobs.submit(RESTORE, REQUEST, owner="joe")).id == first.id
    node.blocked.clear()
    await node.ended(first)
    assert node.done == ALL
    await node.jobs.stop()


@pytest.mark.parametrize("at", ALL)
@pytest.mark.parametrize("resumable", [True, False])
async def test_it_goes_on_after_the_agents_end(tmp_path: Path, at: str, *, resumable: bool) -> None:
    """Whatever step it is in, and whether that goes on by itself or is interrupted."""
    before = Node(tmp_path / "db", resumable=resumable)
    before.blocked = {at}
    await before.jobs.start()
    job = await before.jobs.submit(RESTORE, REQUEST, owner="maria")
    await before.reached(at)
    await before.jobs.stop()

    after = Node(tmp_path / "db", resumable=resumable)
    await after.jobs.start()
    ended = await after.ended(after.jobs.get(job.id))
    assert ended.state == "succeeded"
    assert before.done == ALL[: ALL.index(at)]
    assert after.done == ALL[ALL.index(at) :]
    await after.jobs.stop()


async def test_a_step_that_fails_ends_it_with_its_problem(tmp_path: Path) -> None:
    node = Node(tmp_path / "db")
    node.failing = {"apply app"}
    await node.jobs.start()
    job = await node.ended(await node.jobs.submit(RESTORE, REQUEST, owner="maria"))
    assert job.state == "failed"
    assert job.problem is not None
    assert job.problem.code == "deploy.unwell"
    assert node.done == ALL[:2]
    await node.jobs.stop()


@pytest.mark.parametrize(("kind", "overruled"), [(DEPLOY, {"apply app"}), (REVERT, set())])
async def test_a_deployment_that_was_taken_back_is_no_success(
    tmp_path: Path, kind: str, overruled: set[str]
) -> None:
    """Its own job is skipped then, and who asks for it again finds the one that took it back."""
    node = Node(tmp_path / "db")
    node.apply_kind, node.overruled = kind, overruled
    await node.jobs.start()
    job = await node.ended(await node.jobs.submit(RESTORE, REQUEST, owner="maria"))
    assert job.state == "failed"
    assert job.problem is not None
    assert job.problem.code == "snapshot.step"
    assert "taken back" in job.problem.detail
    assert "remove other" not in node.done
    await node.jobs.stop()


async def test_cancelling_it_cancels_its_step(tmp_path: Path) -> None:
    node = Node(tmp_path / "db")
    node.blocked = {"load old"}
    await node.jobs.start()
    job = await node.jobs.submit(RESTORE, REQUEST, owner="maria")
    await node.reached("load old")
    await node.jobs.cancel(job.id, by="maria")
    assert (await node.ended(job)).state == "cancelled"
    [step] = [each for each in node.jobs.newest() if each.kind == "step"]
    assert (await node.ended(step)).state == "cancelled"
    assert node.done == []
    await node.jobs.stop()


async def test_what_lacks_a_value_stops_it_before_its_first_step(tmp_path: Path) -> None:
    node = Node(tmp_path / "db")
    await node.jobs.start()
    unknown = Workload(name="new", image="app:1", environment={"TOKEN": WITHHELD})
    request = msgspec.structs.replace(
        REQUEST, applies=[*REQUEST.applies, ApplyRequest(release="b", workloads=[unknown])]
    )
    job = await node.ended(await node.jobs.submit(RESTORE, request, owner="maria"))
    assert job.state == "failed"
    assert job.problem is not None
    assert job.problem.code == "snapshot.withheld"
    assert node.done == []
    await node.jobs.stop()
