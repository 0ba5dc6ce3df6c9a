"""What goes wrong in the middle of a deployment: the old container runs, and the message helps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from agent.protocol.deployments import DeployOptions, ResolveRequest
from agent.protocol.gpus import MigInstance
from agent.protocol.jobs import Job
from agent.protocol.workloads import Port, Workload
from agent.workloads.attempt import Attempt
from agent.workloads.candidates import Candidates
from agent.workloads.records import Part
from tests.agent.workloads.workload_side import (
    GPUS,
    SERVES,
    UUIDS,
    Node,
    WorkloadSide,
    pin_request,
    workload_side,
)
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

ON_FIRST = ("--gpus", f"device={UUIDS[0]}")
MIG = MigInstance(uuid="MIG-0000", index=0, profile="1g.10gb", memory_total_bytes=10 * 2**30)
MANUAL = DeployOptions(confirm="manual")


@contextmanager
def once_in(
    state: str, monkeypatch: pytest.MonkeyPatch, act: Callable[[Attempt], object]
) -> Iterator[asyncio.Event]:
    """`act` happens when a deployment has just entered a state; then the event is set."""
    enter, done = Attempt.enter, asyncio.Event()
    begun: list[str] = []

    async def entered(self: Attempt, wanted: str, deadline_seconds: float) -> None:
        await enter(self, wanted, deadline_seconds)  # type: ignore[arg-type]
        if wanted == state and not begun:
            begun.append(state)
            await asyncio.to_thread(act, self)
            done.set()

    with monkeypatch.context() as patched:
        patched.setattr(Attempt, "enter", entered)
        yield done


def problem_of(job: Job) -> tuple[str, str]:
    """Code and words of why a job failed."""
    assert job.problem is not None, job
    assert job.problem.hint
    return job.problem.code, job.problem.detail


def runs_as_before(node: WorkloadSide, container_id: str) -> None:
    """It is the only one, with its name, its policy and its GPU."""
    assert node.names() == {"detector": "running"}
    found = node.inspect("detector")
    assert found["Id"] == container_id
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert found["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [UUIDS[0]]


async def test_no_way_for_a_gpu(engine: DockerEngine, tmp_path: Path) -> None:
    """The plan names each way and why it is none; nothing is touched."""
    async with workload_side(engine, tmp_path / "agent.db", node=Node(hook=False)) as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        [problem] = (await node.workloads.plan_pin("detector", pin_request("1"))).problems
        assert problem.code == "gpu.no_way"
        assert "no CDI device of nvidia.com/gpu is known" in problem.detail
        assert "nvidia-container-runtime-hook is not installed" in problem.detail
        assert "no runtime named nvidia is configured" in problem.detail
        assert problem.hint
        runs_as_before(node, first)


@pytest.mark.parametrize("state", ["preparing", "starting"])
@pytest.mark.parametrize("what", ["gpu", "mig"])
async def test_a_gpu_is_lost_after_the_plan(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, what: str
) -> None:
    around = Node()
    around.gpus[2] = msgspec.structs.replace(GPUS[2], mig_instances=[MIG])
    gone = MIG.uuid if what == "mig" else UUIDS[1]

    def lose(_: Attempt) -> None:
        around.gpus = [GPUS[0], GPUS[2]]

    async with workload_side(engine, tmp_path / "agent.db", node=around) as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        with once_in(state, monkeypatch, lose):
            job = await node.pin("detector", gone)
        code, detail = problem_of(job)
        assert code == "gpu.lost"
        assert gone in detail
        runs_as_before(node, first)


async def test_a_health_check_that_lies(engine: DockerEngine, tmp_path: Path) -> None:
    """It exits with 0, and the GPU is not there: only the look from inside tells."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        file = engine.folder / "lies"
        file.write_text("")
        first = node.run(
            "detector", "--restart=always", *ON_FIRST, "--volume", f"{file}:/lies:ro",
            "--health-cmd=exit 0", "--health-interval=1s",
        )  # fmt: skip
        code, detail = problem_of(await node.pin("detector", "1"))
        assert code == "gpu.not_seen"
        assert UUIDS[1] in detail
        runs_as_before(node, first)


@pytest.mark.parametrize("strategy", ["stop-then-start", "start-then-stop"])
@pytest.mark.parametrize("state", ["probing", "canary"])
async def test_the_new_one_is_removed_by_somebody(
    engine: DockerEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    strategy: str,
) -> None:
    def remove(attempt: Attempt) -> None:
        engine.docker("rm", "--force", str(attempt.record.parts[0].new))

    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        with once_in(state, monkeypatch, remove):
            job = await node.pin("detector", "1", strategy=strategy)
        code, detail = problem_of(job)
        assert code == "deploy.unwell"
        assert "somebody removed the new container" in detail
        runs_as_before(node, first)


@pytest.mark.parametrize("state", ["starting", "probing", "canary"])
async def test_the_old_one_is_removed_by_somebody(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """It is made again from what was written down of it, and the report says what that is not."""

    def remove(attempt: Attempt) -> None:
        old = attempt.record.parts[0].old
        assert old is not None
        engine.docker("rm", "--force", old.id)
        (engine.folder / "lies").write_text(UUIDS[0])  # what sends it back

    async with workload_side(engine, tmp_path / "agent.db") as node:
        (engine.folder / "lies").write_text(UUIDS[1])
        first = node.run(
            "detector", "--restart=always", *ON_FIRST, "--env=MODEL=yolo",
            "--volume", f"{engine.folder / 'lies'}:/lies:ro",
        )  # fmt: skip
        with once_in(state, monkeypatch, remove) as removed:
            job = await node.begin_pin("detector", "1", options=MANUAL)
            if state == "canary":
                await removed.wait()
                deployment = node.deployment().id
                back = await node.workloads.deployments.revert(deployment, by="nina", why="no")
                ended = await node.ended(back)
                assert ended.state == "succeeded", ended.problem and ended.problem.detail
            await node.ended(job)
        assert node.deployment().state == "reverted"
        assert node.names() == {"detector": "running"}
        found = node.inspect("detector")
        assert found["Id"] != first
        assert "MODEL=yolo" in found["Config"]["Env"]
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert found["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [UUIDS[0]]
        [shown] = node.deployment().workloads
        assert "it is made again, without what was written inside it" in shown.lost[0]


async def test_the_kept_one_is_gone_before_undo(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("detector", "--restart=always", *ON_FIRST)
        assert (await node.pin("detector", "1")).state == "succeeded"
        engine.docker("rm", next(name for name in node.names() if ".kept-" in name))
        back = await node.undo("detector")
        assert back.state == "succeeded", back.problem
        assert node.names() == {"detector": "running"}
        found = node.inspect("detector")
        assert found["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [UUIDS[0]]
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"


@pytest.mark.parametrize("state", ["preparing", "prepared", "starting"])
async def test_the_tag_moves_after_the_plan(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """What was planned runs, by its id."""
    engine.docker("tag", IMAGE, "app:1")
    planned = engine.docker("image", "inspect", "--format", "{{.Id}}", "app:1")
    engine.docker("create", "--name=other", IMAGE)
    engine.docker("commit", "--change=LABEL other=1", "other", "app:2")
    engine.docker("rm", "other")

    def move(_: Attempt) -> None:
        engine.docker("tag", "app:2", "app:1")

    async with workload_side(engine, tmp_path / "agent.db") as node:
        with once_in(state, monkeypatch, move):
            job = await node.apply(Workload(name="web", image="app:1", command=SERVES, soak=0.0))
        assert job.state == "succeeded", job.problem
        assert node.inspect("web")["Image"] == planned
    engine.clear()
    engine.docker("rmi", "--force", "app:1", "app:2")


async def test_a_port_is_taken_at_a_replace(engine: DockerEngine, tmp_path: Path) -> None:
    """By a container that Roost does not know: who has it is for a person to find out."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = Workload(name="web", image=IMAGE, command=SERVES, soak=0.0, restart="always")
        assert (await node.apply(first)).state == "succeeded"
        before = node.inspect("web")["Id"]
        engine.docker("run", "--detach", "--name=other", "--publish=8087:80", IMAGE, *SERVES)
        for strategy in ("start-then-stop", "stop-then-start"):
            moved = msgspec.structs.replace(
                first, ports=[Port(target=80, published=8087)], strategy=strategy
            )
            job = await node.apply(moved)
            code, detail = problem_of(job)
            assert code == "deploy.not_started"
            assert "8087" in detail
            assert job.problem is not None
            assert "roost container ls NODE" in (job.problem.hint or "")
            assert node.names() == {"other": "running", "web": "running"}
            assert node.inspect("web")["Id"] == before
            assert node.inspect("web")["HostConfig"]["RestartPolicy"]["Name"] == "always"
        engine.docker("rm", "--force", "other")
        assert (await node.apply(moved)).state == "succeeded"


async def test_a_port_is_taken_while_a_pin_changes_over(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the stop of the old one and the start of the new one somebody else takes it.

    As long as it is taken, the old one cannot run either: a person is told, and tries it again.
    """

    async def start(self: Candidates, part: Part, new: str) -> None:
        take = ("run", "--detach", "--name=thief", "--publish=8088:80", IMAGE, *SERVES)
        await asyncio.to_thread(engine.docker, *take)
        await begin(self, part, new)

    begin = Candidates.start
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", "--publish=8088:80", *ON_FIRST)
        with monkeypatch.context() as patched:
            patched.setattr(Candidates, "start", start)
            code, detail = problem_of(await node.pin("detector", "1"))
        assert code == "deploy.stuck"
        assert detail.count("8088") == 2  # of the new one, and of the old one
        shown = node.deployment()
        assert shown.state == "stuck"
        assert node.names()["thief"] == "running"
        assert "running" not in {
            state for name, state in node.names().items() if name.startswith("detector")
        }
        engine.docker("rm", "--force", "thief")
        job = await node.workloads.resolve("detector", ResolveRequest(how="keep-old"), by="nina")
        assert (await node.ended(job)).state == "succeeded"
        runs_as_before(node, first)


async def test_a_port_is_taken_before_a_pin_of_one_that_did_not_run(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--publish=8089:80", *ON_FIRST)
        engine.docker("stop", "detector")
        engine.docker("run", "--detach", "--name=other", "--publish=8089:80", IMAGE, *SERVES)
        code, detail = problem_of(await node.pin("detector", "1"))
        assert code == "deploy.not_started"
        assert "8089" in detail
        assert node.names() == {"detector": "exited", "other": "running"}
        assert node.inspect("detector")["Id"] == first


async def test_one_that_did_not_run_before(engine: DockerEngine, tmp_path: Path) -> None:
    """A pin that fails leaves it stopped, with its policy; one that succeeds has it run."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=unless-stopped", *ON_FIRST)
        engine.docker("stop", "detector")
        [planned] = (await node.workloads.plan_pin("detector", pin_request("1"))).workloads
        assert "detector does not run now; it will" in planned.warnings
        (engine.folder / "hook-fails").touch()
        assert problem_of(await node.pin("detector", "1"))[0] == "deploy.not_started"
        (engine.folder / "hook-fails").unlink()
        assert node.names() == {"detector": "exited"}
        found = node.inspect("detector")
        assert found["Id"] == first
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert (await node.pin("detector", "1")).state == "succeeded"
        assert node.names()["detector"] == "running"


async def test_one_that_was_unhealthy_before(engine: DockerEngine, tmp_path: Path) -> None:
    """It comes back as unhealthy as it was: the way back asks for nothing."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run(
            "detector", "--restart=always", *ON_FIRST,
            "--health-cmd=false", "--health-interval=1s", "--health-retries=1",
        )  # fmt: skip
        while node.inspect("detector")["State"]["Health"]["Status"] != "unhealthy":  # noqa: ASYNC110 - dockerd's
            await asyncio.sleep(0.1)
        code, detail = problem_of(await node.pin("detector", "1"))
        assert code == "deploy.unwell"
        assert "unhealthy" in detail
        runs_as_before(node, first)
