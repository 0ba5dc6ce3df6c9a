"""Drift, GPUs that vanish from a container, and reboots, on a real Docker Engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.doctor.examiner import Examiner
from agent.protocol.deployments import DeployOptions, WorkloadStatus
from agent.protocol.engines import Engine
from agent.protocol.findings import DoctorReport
from agent.protocol.gpus import GpuProcess, GpuReport
from agent.protocol.jobs import ENDED
from agent.protocol.node import NodeFacts
from agent.protocol.telemetry import HostSample, Telemetry
from agent.protocol.workloads import GpuRequest, Mount, Workload
from agent.workloads.ceilings import SAMPLES
from tests.agent.workloads.workload_side import SERVES, SMI, UUIDS, WorkloadSide, workload_side
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.waiting import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

ON_FIRST = ("--gpus", f"device={UUIDS[0]}")
# After `systemctl daemon-reload` those that ran then have lost their GPUs, and new ones have not.
LOSES = SMI.replace(
    "#!/bin/sh\n",
    "#!/bin/sh\n"
    'if [ "$(cat /flags/lost)" = "$(hostname)" ]; then\n'
    '  echo "Failed to initialize NVML: Unknown Error"; exit 255\n'
    "fi\n",
)


class Latest:
    latest = Telemetry(at=0.0, host=HostSample())


class Looked:
    """What the doctor asks of a node, over its workloads alone."""

    def __init__(self, node: WorkloadSide) -> None:
        self._node = node
        self.sampler = Latest()
        self.examiner = Examiner(node.runtime)

    @property
    def facts(self) -> NodeFacts:
        return self._node.workloads.watcher._facts()

    def gpu_report(self) -> GpuReport:
        return GpuReport(stack=self.facts.gpu_stack, gpus=self.facts.gpus)

    async def workload_report(self) -> list[WorkloadStatus]:
        return await self._node.workloads.list()

    async def engine_report(self) -> list[Engine]:
        return []

    async def look(self) -> DoctorReport:
        """As the node does: the doctor looks, then what is due is done."""
        report = await self.examiner.examine(self)
        await self._node.workloads.watcher.tend(report)
        return report

    async def findings(self, code: str) -> dict[str, str]:
        """What to do about each finding of a code, by what it is about."""
        return {each.subject: each.mend for each in (await self.look()).findings
                if each.code == code}  # fmt: skip


def workload(name: str = "web", **more: Any) -> Workload:
    return Workload(**{"name": name, "image": IMAGE, "command": SERVES, "soak": 0.0, **more})


async def drift(node: WorkloadSide, name: str = "web") -> list[str]:
    status = await node.workloads.show(name)
    assert status.drift_unknown is None
    return status.drift


async def test_what_somebody_changed_by_hand_is_told(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        looked = Looked(node)
        one = workload(
            restart="always", environment={"MODEL": "a"}, gpu=GpuRequest(select=UUIDS[0])
        )
        assert (await node.apply(one)).state == "succeeded"
        assert await drift(node) == []
        assert await looked.findings("workload.drift") == {}

        engine.docker("update", "--restart=no", "web")
        assert await drift(node) == ["restart policy: no instead of always"]
        [plan] = await node.plan(one)
        assert plan.action == "replace"
        engine.docker("update", "--restart=always", "web")
        assert await drift(node) == []

        engine.docker("stop", "web")
        assert await drift(node) == ["it does not run: it ended with exit code 0"]
        found = await looked.findings("workload.drift")
        assert "roost workload restart a10 web" in found["workload/web"]
        engine.docker("start", "web")
        assert await drift(node) == []

        engine.docker("rename", "web", "mine")
        assert await drift(node) == ["its container was renamed: mine"]
        engine.docker("rename", "mine", "web")

        engine.docker("rm", "--force", "web")
        assert await drift(node) == ["its container is gone"]
        assert (await node.workloads.show("web")).state == "missing"

        node.run("web", "--gpus", f"device={UUIDS[1]}", "--env=MODEL=b", "--env=DEBUG=1")
        assert await drift(node) == [
            "its container is gone, and another one that Roost did not make has its name",
            f"GPUs: GPU 1 ({UUIDS[1]}) instead of GPU 0 ({UUIDS[0]})",
            "environment: MODEL has another value",
            "environment: DEBUG was added",
            "restart policy: no instead of always",
        ]
        found = await looked.findings("workload.drift")
        assert "must go first" in found["workload/web"]
        engine.docker("rm", "--force", "web")
        assert (await node.apply(one)).state == "succeeded"
        assert await drift(node) == []


async def test_a_pinned_container_is_as_it_was_deployed(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """Its recipe was read from a container, with all that the image gave it."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("detector", "--restart=on-failure:3", "--env=MODEL=a", *ON_FIRST)
        assert (await node.pin("detector", "1")).state == "succeeded"
        assert await drift(node, "detector") == []
        assert (await node.undo("detector")).state == "succeeded"
        assert await node.workloads.list() == []


async def test_a_runtime_that_is_gone_tells_no_drift(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        looked = Looked(node)
        assert (await node.apply(workload(restart="always"))).state == "succeeded"
        await asyncio.to_thread(engine.stop)
        status = await node.workloads.show("web")
        assert (status.drift, status.drift_unknown is None) == ([], False)
        [outcome] = [
            each for each in (await looked.look()).checks if each.check == "workload_drift"
        ]
        assert outcome.outcome == "could_not_tell"
        await asyncio.to_thread(engine.start)


def losing(engine: DockerEngine, on_lost: str) -> Workload:
    """A workload whose nvidia-smi fails in the container that `flags/lost` names."""
    smi, flags = engine.folder / "smi-that-loses", engine.folder / "flags"
    smi.write_text(LOSES)
    smi.chmod(0o755)
    flags.mkdir(exist_ok=True)
    (flags / "lost").write_text("nobody")
    return workload(
        restart="always",
        gpu=GpuRequest(select=UUIDS[0], on_lost=on_lost),  # type: ignore[arg-type]
        mounts=[
            Mount(kind="bind", source=str(smi), target="/bin/nvidia-smi", read_only=True),
            Mount(kind="bind", source=str(flags), target="/flags", read_only=True),
        ],
    )


def lose(engine: DockerEngine, container_id: str) -> None:
    (engine.folder / "flags" / "lost").write_text(container_id[:12])


async def running(node: WorkloadSide, container_id: str) -> None:
    """Until the agent knows that it runs."""

    def runs() -> bool:
        container = node.runtime.containers().get(container_id)
        return container is not None and container.state == "running"

    await until(runs)


async def test_a_gpu_that_vanishes_is_mended_by_recreation(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(losing(engine, "recreate"), release="r7")).state == "succeeded"
        first = node.inspect("web")["Id"]
        await running(node, first)
        lose(engine, first)
        looked = Looked(node)
        seen = await looked.findings("container.gpu_not_visible")
        assert list(seen) == [f"container/{first}"]
        assert len(node.workloads._store.deployments()) == 1  # one look is not enough
        await looked.look()
        shown = await node.reaches("done", "reverted", "stuck")
        assert (shown.state, shown.owner, shown.release) == ("done", "roost", "r7")
        assert "did not see its GPUs any more" in shown.history[0].why
        assert shown.workloads[0].gpus == [UUIDS[0]]
        again = node.inspect("web")
        assert again["Id"] != first
        assert again["HostConfig"]["RestartPolicy"]["Name"] == "always"
        await until(lambda: all(job.state in ENDED for job in node.jobs.newest()))
        await running(node, again["Id"])
        assert await drift(node) == []
        assert await looked.findings("container.gpu_not_visible") == {}
        assert (await node.workloads.show("web")).by_itself is None

        lose(engine, again["Id"])  # it did not help for long: not again and again
        looked = Looked(node)
        for _ in range(4):
            mend = (await looked.findings("container.gpu_not_visible"))[f"container/{again['Id']}"]
        assert "it was re-created just now" in mend
        assert len(node.workloads._store.deployments()) == 2
        assert node.inspect("web")["Id"] == again["Id"]


async def test_the_next_agent_knows_how_often_it_was_mended(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(losing(engine, "recreate"))).state == "succeeded"
        first = node.inspect("web")["Id"]
        await running(node, first)
        lose(engine, first)
        looked = Looked(node)
        for _ in range(2):
            await looked.look()
        assert (await node.reaches("done", "reverted", "stuck")).state == "done"
        await until(lambda: all(job.state in ENDED for job in node.jobs.newest()))
    async with workload_side(engine, tmp_path / "agent.db") as node:
        again = node.inspect("web")["Id"]
        await running(node, again)
        lose(engine, again)
        looked = Looked(node)
        for _ in range(3):
            await looked.look()
        assert "just now" in ((await node.workloads.show("web")).by_itself or "")
        assert node.inspect("web")["Id"] == again


async def test_a_gpu_that_vanishes_is_only_told_where_nothing_else_was_said(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(losing(engine, "tell"))).state == "succeeded"
        first = node.inspect("web")["Id"]
        await running(node, first)
        lose(engine, first)
        looked = Looked(node)
        for _ in range(3):
            mend = (await looked.findings("container.gpu_not_visible"))[f"container/{first}"]
        assert "x-roost.gpu.on_lost: recreate" in mend
        assert len(node.workloads._store.deployments()) == 1


async def test_one_over_its_ceiling_is_restarted(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        gpu = GpuRequest(select=UUIDS[0], memory_bytes=2**30, on_exceeded="restart")
        assert (await node.apply(workload(gpu=gpu))).state == "succeeded"
        before = node.inspect("web")
        assert f"ROOST_GPU_MEMORY_BYTES={2**30}" in before["Config"]["Env"]
        uses = GpuProcess(gpu_uuid=UUIDS[0], pid=1, memory_used_bytes=2**31, container=before["Id"])
        watcher, looked = node.workloads.watcher, Looked(node)
        changes = [watcher.sampled([uses]) for _ in range(SAMPLES)]
        assert changes == [False] * (SAMPLES - 1) + [True]
        assert list(await looked.findings("workload.gpu_memory_exceeded")) == ["workload/web"]
        [job] = [each for each in node.jobs.newest() if each.owner == "roost"]
        assert (await node.ended(job)).state == "succeeded"
        after = node.inspect("web")
        assert after["Id"] == before["Id"]
        assert after["State"]["StartedAt"] != before["State"]["StartedAt"]
        found = await looked.findings("workload.gpu_memory_exceeded")  # it uses it all the same
        assert "restarted by the job" in found["workload/web"]
        found = await looked.findings("workload.gpu_memory_exceeded")
        assert "it was restarted just now" in found["workload/web"]
        assert any(watcher.sampled([]) for _ in range(SAMPLES))
        assert await looked.findings("workload.gpu_memory_exceeded") == {}


def named(engine: DockerEngine) -> dict[str, dict[str, str]]:
    """States by container name, by the workload that they are or were."""
    said = engine.docker("ps", "--all", "--format", "{{.Names}} {{.State}}")
    found: dict[str, dict[str, str]] = {}
    for line in said.splitlines():
        name, state = line.split(" ", 1)
        found.setdefault(name.split(".")[0], {})[name] = state
    return found


def one_runs(pair: dict[str, str]) -> bool:
    return sorted(pair.values()) == ["exited", "running"]


def runs_now(engine: DockerEngine, container_id: str | None) -> bool:
    assert container_id is not None
    said = engine.docker("inspect", "--format={{.State.Running}}", container_id)
    return said.strip() == "true"


async def test_a_reboots_worth_of_containers_with_restart_always(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """Three are done, one is in its window, one comes back by nobody; no agent runs meanwhile."""
    done = ["one", "two", "three"]
    async with workload_side(engine, tmp_path / "agent.db") as node:
        for name in [*done, "window"]:
            node.run(name, "--restart=always", *ON_FIRST)
        jobs = [await node.begin_pin(name, "1") for name in done]
        assert [(await node.ended(job)).state for job in jobs] == ["succeeded"] * 3
        assert (await node.apply(workload("by-hand", restart="no"))).state == "succeeded"
        window = await node.begin_pin("window", "1", options=DeployOptions(confirm="manual"))
        shown = await node.reaches("canary")
        new = shown.workloads[0].new
    await asyncio.to_thread(engine.kill)
    await asyncio.to_thread(engine.start)
    await until(lambda: all(one_runs(named(engine)[name]) for name in done))
    for name in done:
        assert named(engine)[name][name] == "running"
    # The old one, or none: the new one is not known to be right yet.
    assert list(named(engine)["window"].values()).count("running") <= 1
    assert not runs_now(engine, new)

    async with workload_side(engine, tmp_path / "agent.db") as node:
        await node.workloads.confirm("window")
        assert (await node.ended(node.jobs.get(window.id))).state == "succeeded"
        assert node.inspect("window")["Id"] == new
        for name in [*done, "window"]:
            assert one_runs(named(engine)[name]), name
            assert node.inspect(name)["HostConfig"]["RestartPolicy"]["Name"] == "always"
        drifts = {each.name: bool(each.drift) for each in await node.workloads.list()}
        assert drifts == {**dict.fromkeys([*done, "window"], False), "by-hand": True}
        found = await Looked(node).findings("workload.drift")
        assert list(found) == ["workload/by-hand"]
