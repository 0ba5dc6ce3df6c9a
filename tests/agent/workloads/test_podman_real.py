"""What Podman leaves to others: it runs no health checks by itself, and does not tell GPUs."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.protocol.workloads import GpuRequest, Healthcheck, Mount
from agent.workloads import health_keeping
from agent.workloads.tending import LOOKS
from tests.agent.workloads.test_apply_real import code_of, workload
from tests.agent.workloads.test_watching_real import Looked
from tests.agent.workloads.workload_side import GPUS, UUIDS, Node, WorkloadSide, workload_side
from tests.real.new_podman import NewPodman
from tests.waiting import until

pytestmark = [
    pytest.mark.real("new_podman"),
    pytest.mark.runtimes,
    pytest.mark.timeout(120),
]

WITH_MINORS = [msgspec.structs.replace(gpu, minor=gpu.index) for gpu in GPUS]


@pytest.fixture
def engine(new_podman: NewPodman) -> Iterator[NewPodman]:
    yield new_podman
    new_podman.clear()


def well(path: str, **more: object) -> Healthcheck:
    """It asks whether a file is there."""
    return Healthcheck(test=["CMD", "test", "-e", path], interval=1.0, **more)  # type: ignore[arg-type]


def gpus_by_index(folder: Path, minors: dict[int, int]) -> None:
    """A CDI specification whose devices bring the node /dev/nvidiaN of these minors."""
    folder.mkdir(exist_ok=True)
    devices = []
    for index, minor in minors.items():
        path = folder / f"nvidia{minor}"
        if not path.exists():
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(195, minor))
        node = {"path": f"/dev/nvidia{minor}", "hostPath": str(path), "type": "c"}
        node |= {"major": 195, "minor": minor}  # type: ignore[dict-item]
        devices.append({"name": str(index), "containerEdits": {"deviceNodes": [node]}})
    spec = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices}
    (folder / "nvidia.json").write_text(json.dumps(spec))


async def drift(node: WorkloadSide) -> list[str]:
    status = await node.workloads.show("web")
    assert status.drift_unknown is None
    return status.drift


async def test_the_agent_runs_health_checks(engine: NewPodman, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        job = await node.apply(workload(healthcheck=well("/")))
        assert job.state == "succeeded", job
        assert node.inspect("web")["State"]["Health"]["Status"] == "healthy"
        before = node.inspect("web")["Id"]

        never = workload(healthcheck=well("/nothing", retries=2), start_deadline=60.0)
        job = await node.apply(never)
        assert code_of(job) == "deploy.unwell"
        assert job.problem is not None
        assert "its health check says unhealthy" in job.problem.detail
        assert node.inspect("web")["Id"] == before
        assert node.inspect("web")["State"]["Running"]

        command = ["sh", "-c", "sleep 2; touch /well; while :; do sleep 0.1; done"]
        later = workload(healthcheck=well("/well", retries=30), command=command)
        assert (await node.apply(later)).state == "succeeded"
        job = await node.ended(await node.workloads.restart("web", owner="maria", key=None))
        assert job.state == "succeeded", job


async def test_health_checks_go_on_once_it_is_done(
    engine: NewPodman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else runs them here, and no deployment or restart looks."""
    monkeypatch.setattr(health_keeping, "SYSTEMD", tmp_path / "none")  # this Podman has none above
    flag = engine.folder / "well"
    flag.mkdir(exist_ok=True)
    (flag / "well").touch()
    mount = Mount(kind="bind", source=str(flag), target="/flag")
    async with workload_side(engine, tmp_path / "agent.db") as node:
        job = await node.apply(workload(healthcheck=well("/flag/well", retries=1), mounts=[mount]))
        assert job.state == "succeeded", job

        def health() -> str:
            return str(node.inspect("web")["State"]["Health"]["Status"])

        assert health() == "healthy"
        (flag / "well").unlink()
        await until(lambda: health() == "unhealthy")
        (flag / "well").touch()
        await until(lambda: health() == "healthy")
        assert [job.state for job in node.jobs.newest()] == ["succeeded"]


async def test_what_a_reboot_left_down_is_started(engine: NewPodman, tmp_path: Path) -> None:
    """Podman starts nothing by itself; what somebody stopped in this boot stays as it is."""
    node_now = Node()
    async with workload_side(engine, tmp_path / "agent.db", node=node_now) as node:
        for name, policy in (("web", "always"), ("job", "no")):
            assert (await node.apply(workload(name, restart=policy))).state == "succeeded"
        looked = Looked(node)

        def down() -> bool:
            known = node.runtime.containers().values()
            return len(known) == 2 and all(each.state == "exited" for each in known)

        engine.docker("stop", "--time=1", "web", "job")
        await until(down)
        node_now.booted_at = 1.0
        for _ in range(LOOKS + 1):
            await looked.look()
        assert all(job.owner == "maria" for job in node.jobs.newest())
        node_now.booted_at = time.time()
        for _ in range(LOOKS):
            await looked.look()
        [job] = [job for job in node.jobs.newest() if job.owner == "roost"]
        assert (job.kind, job.subject) == ("workload.restart", "web")
        assert (await node.ended(job)).state == "succeeded"
        assert node.names() == {"job": "exited", "web": "running"}


async def test_another_gpu_is_seen_from_inside(engine: NewPodman, tmp_path: Path) -> None:
    """The driver has counted the GPUs anew, and the container was restarted since."""
    around = Node(hook=False, cdi_dir=engine.folder / "cdi", gpus=list(WITH_MINORS))
    gpus_by_index(engine.folder / "cdi", {0: 0, 1: 1, 2: 2})
    async with workload_side(engine, tmp_path / "agent.db", node=around) as node:
        job = await node.apply(workload(gpu=GpuRequest(select=UUIDS[1])))
        assert job.state == "succeeded", job
        assert node.deployment().workloads[0].gpu_checked == "namespaces"
        assert await drift(node) == []
        gpus_by_index(engine.folder / "cdi", {0: 0, 1: 2, 2: 1})
        engine.docker("restart", "--time=1", "web")
        told = f"GPUs: GPU 2 ({UUIDS[2]}) instead of GPU 1 ({UUIDS[1]})"
        while await drift(node) != [told]:  # noqa: ASYNC110 - the agent hears of the start soon
            await asyncio.sleep(0.1)
