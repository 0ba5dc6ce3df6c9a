"""Pins of containers on a real Docker Engine."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.deployments import DeployOptions, PinRequest
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import ExecProbe, GpuRequest, Mount, Workload
from tests.agent.workloads.workload_side import (
    SERVES,
    SMI,
    UUIDS,
    WorkloadSide,
    pin_request,
    workload_side,
)
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

ON_FIRST = ("--gpus", f"device={UUIDS[0]}")


def problem_of(job: Job) -> str:
    """The code of why a job failed."""
    assert job.problem is not None, job
    return job.problem.code


def runs_as_before(node: WorkloadSide, name: str, container_id: str) -> None:
    """The container is the only one, with its name, its policy and its GPU."""
    assert node.names() == {name: "running"}
    found = node.inspect(name)
    assert found["Id"] == container_id
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert found["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [UUIDS[0]]


async def test_a_container_moves_to_another_gpu(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        job = await node.pin("detector", "1")
        assert (job.state, job.problem) == ("succeeded", None)
        after = node.inspect("detector")
        assert after["Id"] != first
        assert after["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [UUIDS[1]]
        assert after["HostConfig"]["RestartPolicy"]["Name"] == "always"
        [status] = await node.workloads.list()
        kept = f"detector.kept-{str(status.deployment)[:6]}"
        assert node.names() == {"detector": "running", kept: "exited"}
        assert node.inspect(kept)["HostConfig"]["RestartPolicy"]["Name"] == "no"
        assert (status.gpus, status.gpu_way) == ([UUIDS[1]], "device_request")
        [shown] = node.deployment().workloads
        assert shown.gpu_checked == "nvidia-smi"

        # The one before is kept until the next one is done, and then goes.
        again = await node.pin("detector", "2")
        assert again.state == "succeeded"
        assert len(node.names()) == 2
        assert first not in engine.docker("ps", "--all", "--no-trunc", "--quiet")


async def test_undo_brings_the_kept_container_back(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        await node.pin("detector", "1")
        assert (await node.undo("detector")).state == "succeeded"
        runs_as_before(node, "detector", first)
        assert node.deployment().state == "reverted"
        assert await node.workloads.list() == []  # it was only found, never placed


async def test_only_what_was_looked_at_is_undone(engine: DockerEngine, tmp_path: Path) -> None:
    """A newer deployment came in between, is under way, or is done: it is not what was meant."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("detector", *ON_FIRST)
        assert (await node.pin("detector", "1")).state == "succeeded"
        looked_at = node.deployment().id
        begun = await node.begin_pin("detector", "2", soak=60.0)
        await node.reaches("canary")
        newer = node.deployment().id
        deployments = node.workloads.deployments
        with pytest.raises(ProblemError, match=f"deployment {newer} .pin detector, by maria. came"):
            await deployments.revert(looked_at, by="nina", why="undo")
        assert node.deployment().state == "canary"
        assert (await node.undo("detector", by="nina")).state == "succeeded"
        assert (await node.ended(begun)).state in ("cancelled", "skipped")
        assert UUIDS[1] in str(node.environment("detector"))
        with pytest.raises(ProblemError) as superseded:
            await deployments.revert(looked_at, by="nina", why="undo")
        assert superseded.value.code == "deployment.superseded"
        with pytest.raises(ProblemError) as reverted:
            await deployments.revert(newer, by="nina", why="undo")
        assert reverted.value.code == "deployment.reverted"
        assert UUIDS[1] in str(node.environment("detector"))


async def test_a_workload_keeps_what_it_was_deployed_with(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """Its probes are tried on other GPUs, too, and its ceiling is the one that is said."""
    flag = engine.folder / "flags"
    flag.mkdir(exist_ok=True)
    (flag / "well").touch()
    async with workload_side(engine, tmp_path / "agent.db") as node:
        smi = engine.folder / "nvidia-smi"
        smi.write_text(SMI)
        smi.chmod(0o755)
        one = Workload(
            name="web",
            image=IMAGE,
            command=SERVES,
            soak=0.5,
            start_deadline=3.0,
            gpu=GpuRequest(select=UUIDS[0], memory_bytes=2**30),
            probes=[ExecProbe(command=["test", "-e", "/flags/well"])],
            mounts=[
                Mount(kind="bind", source=str(flag), target="/flags"),
                Mount(kind="bind", source=str(smi), target="/bin/nvidia-smi"),
            ],
        )
        assert (await node.apply(one)).state == "succeeded"
        hint = "ROOST_GPU_MEMORY_BYTES"
        for select, said, told in ((UUIDS[1], 2**30, [f"{hint}={2**30}"]), (UUIDS[2], None, [])):
            request = PinRequest(gpu=GpuRequest(select=select, memory_bytes=said))
            job = await node.workloads.pin("web", request, owner="maria", key=None)
            assert (await node.ended(job)).state == "succeeded"
            env = node.inspect("web")["Config"]["Env"] or []
            assert [each for each in env if each.startswith(hint)] == told
            [part] = node.workloads._store.deployments()[0].parts
            assert (part.probes, part.soak, part.start_deadline) == (one.probes, 0.5, 3.0)
        (flag / "well").unlink()
        job = await node.workloads.pin("web", request, owner="maria", key=None)
        assert problem_of(await node.ended(job)) == "deploy.unwell"


async def test_a_hook_that_fails(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        (engine.folder / "hook-fails").touch()
        job = await node.pin("detector", "1", strategy="start-then-stop")
        assert problem_of(job) == "deploy.not_started"
        assert job.problem is not None
        assert "no such GPU" in job.problem.detail
        runs_as_before(node, "detector", first)  # it was never touched


async def test_a_hook_that_fails_for_both(engine: DockerEngine, tmp_path: Path) -> None:
    """The old one cannot start either: a person is needed, and hears why."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("detector", "--restart=always", *ON_FIRST)
        (engine.folder / "hook-fails").touch()
        job = await node.pin("detector", "1", strategy="stop-then-start")
        assert job.problem is not None
        assert job.problem.detail.count("no such GPU") == 2
        assert problem_of(job) == "deploy.stuck"
        assert "roost workload resolve NODE NAME" in (job.problem.hint or "")
        assert node.deployment().state == "stuck"


@pytest.mark.parametrize(
    ("lies", "code"), [(UUIDS[0], "gpu.not_seen"), ("", "gpu.not_seen")], ids=["other", "none"]
)
async def test_a_wrong_gpu_seen_from_inside(
    engine: DockerEngine, tmp_path: Path, lies: str, code: str
) -> None:
    """The runtime says it runs; only a look from inside tells that the GPU is not there."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        file = engine.folder / "lies"
        file.write_text(lies)
        first = node.run("detector", "--restart=always", *ON_FIRST, "--volume", f"{file}:/lies:ro")
        job = await node.pin("detector", "1")
        assert problem_of(job) == code
        runs_as_before(node, "detector", first)


async def test_one_that_ends_at_once(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        ends = f"nvidia-smi -L | grep -q {UUIDS[1]} && {{ echo no licence; exit 3; }}; {SERVES[2]}"
        first = node.run("detector", "--restart=always", *ON_FIRST, command=["sh", "-c", ends])
        job = await node.pin("detector", "1")
        assert problem_of(job) == "deploy.unwell"
        assert job.problem is not None
        assert "exit code 3" in job.problem.detail
        assert "no licence" in job.problem.detail
        runs_as_before(node, "detector", first)


async def test_an_old_one_that_does_not_come_back(engine: DockerEngine, tmp_path: Path) -> None:
    """Then a person is needed, who is told why, and has a way out."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        flag = engine.folder / "ends"
        ends = f"[ -e /there/{flag.name} ] && exit 3; {SERVES[2]}"
        node.run(
            "detector", "--restart=always", *ON_FIRST, "--volume", f"{engine.folder}:/there",
            command=["sh", "-c", ends],
        )  # fmt: skip
        flag.touch()
        job = await node.pin("detector", "1")
        flag.unlink()
        assert problem_of(job) == "deploy.stuck"
        assert job.problem is not None
        assert "exit code 3" in job.problem.detail  # what went wrong first
        assert node.deployment().state == "stuck"
        with pytest.raises(ProblemError) as caught:
            await node.begin_pin("detector", "2")
        assert caught.value.code == "deployment.stuck"


async def test_one_that_becomes_unhealthy(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run(
            "detector", "--restart=always", *ON_FIRST,
            "--health-cmd=nvidia-smi -L | grep -q " + UUIDS[0],
            "--health-interval=1s", "--health-retries=1", "--health-start-period=0s",
        )  # fmt: skip
        job = await node.pin("detector", "1", start_deadline=30.0)
        assert problem_of(job) == "deploy.unwell"
        assert job.problem is not None
        assert "unhealthy" in job.problem.detail
        runs_as_before(node, "detector", first)


async def test_nobody_confirms(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        options = DeployOptions(confirm="manual", confirm_within=2)
        job = await node.pin("detector", "1", options=options)
        assert problem_of(job) == "deploy.unconfirmed"
        runs_as_before(node, "detector", first)


async def test_somebody_confirms(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("detector", "--restart=always", *ON_FIRST)
        job = await node.begin_pin("detector", "1", options=DeployOptions(confirm="manual"))
        await node.reaches("canary")
        [shown] = node.deployment().workloads
        assert node.inspect(str(shown.new))["HostConfig"]["RestartPolicy"]["Name"] == "no"
        deployment = node.deployment().id
        assert (await node.workloads.deployments.confirm(deployment)).confirmed
        assert (await node.ended(job)).state == "succeeded"
        assert (await node.workloads.deployments.confirm(deployment)).state == "done"  # asked again
        assert node.inspect("detector")["HostConfig"]["RestartPolicy"]["Name"] == "always"


async def test_a_revert_in_the_middle(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        job = await node.begin_pin("detector", "1", options=DeployOptions(confirm="manual"))
        deployment = (await node.reaches("starting")).id
        back = await node.workloads.deployments.revert(deployment, by="nina", why="wrong node")
        assert (await node.ended(back)).state == "succeeded"
        assert (await node.ended(job)).state in ("cancelled", "skipped")
        runs_as_before(node, "detector", first)
        with pytest.raises(ProblemError, match="no deployment"):
            await node.workloads.deployments.revert("nothing", by="nina", why="")


async def test_a_cancelled_job_goes_back(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        job = await node.begin_pin("detector", "1", options=DeployOptions(confirm="manual"))
        await node.reaches("probing")
        await node.jobs.cancel(job.id, by="nina")
        await node.reaches("reverted")
        runs_as_before(node, "detector", first)


async def test_two_deployments_of_one_workload(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("detector", *ON_FIRST)
        job = await node.begin_pin("detector", "1")
        with pytest.raises(ProblemError) as caught:
            await node.begin_pin("detector", "2")
        assert caught.value.code == "deployment.under_way"
        assert "maria" in caught.value.detail
        assert (await node.ended(job)).state == "succeeded"


async def test_two_that_want_one_gpu_alone(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("one")
        node.run("other")
        both = await asyncio.gather(
            node.begin_pin("one", "2", exclusive=True),
            node.begin_pin("other", "2", exclusive=True),
            return_exceptions=True,
        )
        [job] = [each for each in both if isinstance(each, Job)]
        [problem] = [each for each in both if isinstance(each, ProblemError)]
        assert problem.code == "placement.exclusive"
        assert (await node.ended(job)).state == "succeeded"


async def test_the_same_request_again(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("detector", *ON_FIRST)
        request = pin_request("1")
        one = await node.workloads.pin("detector", request, owner="maria", key="k1")
        two = await node.workloads.pin("detector", request, owner="maria", key="k1")
        assert one.id == two.id
        with pytest.raises(ProblemError) as caught:
            await node.workloads.pin("detector", pin_request("2"), owner="maria", key="k1")
        assert caught.value.code == "job.key_reused"
        await node.ended(one)


async def test_everything_else_stays(engine: DockerEngine, tmp_path: Path) -> None:
    """All that a container can have, the same before and after."""
    engine.docker("network", "create", "--subnet=10.55.0.0/24", "cams")
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("db")
        node.run(
            "detector", "--restart=on-failure:3", *ON_FIRST,
            "--network=cams", "--ip=10.55.0.9", "--network-alias=eyes",
            "--publish=8123:80", "--env=MODEL=yolo", "--label=team=vision", "--hostname=eye-1",
            "--volume=/data", "--volume=models:/models:ro", "--tmpfs=/scratch:size=1m",
            "--memory=64m", "--cpus=0.5", "--shm-size=8m", "--ulimit=nofile=1024:2048",
            "--cap-add=SYS_NICE", "--cap-drop=MKNOD", "--user=0:0", "--workdir=/tmp", "--init",
            "--stop-timeout=3", "--stop-signal=SIGTERM", "--add-host=cam:10.0.0.1",
            "--log-opt=max-size=1m", "--device=/dev/null:/dev/fake",
            "--sysctl=net.core.somaxconn=99",
            "--health-cmd=true", "--health-interval=1s", "--read-only", "--ipc=shareable",
            "--security-opt=no-new-privileges", "--oom-score-adj=10", "--entrypoint=sh",
            command=SERVES[1:],
        )  # fmt: skip
        before = node.inspect("detector")
        engine.docker("exec", "detector", "sh", "-c", "echo kept > /data/file")
        plan = await node.workloads.plan_pin("detector", pin_request("1"))
        [planned] = plan.workloads
        assert (planned.problems, planned.lost) == ([], [])
        job = await node.pin("detector", "1")
        assert job.state == "succeeded", job
        after = node.inspect("detector")
        assert engine.docker("exec", "detector", "cat", "/data/file") == "kept"
        for part in (was := comparable(before)):
            assert comparable(after)[part] == was[part]
    engine.docker("rm", "--force", *engine.docker("ps", "--all", "--quiet").split())
    engine.docker("network", "rm", "cams")


def pruned(value: Any) -> Any:
    """Without what is empty: an answer says null where another one says []."""
    if isinstance(value, dict):
        return {key: pruned(each) for key, each in value.items() if each not in (None, [], {}, "")}
    return [pruned(each) for each in value] if isinstance(value, list) else value


def comparable(answer: object) -> Any:
    """What inspect says without what names one container, or is the GPU."""
    text = json.loads(json.dumps(answer))
    host, config = text["HostConfig"], text["Config"]
    host["DeviceRequests"] = None
    host.pop("ContainerIDFile")
    host["Binds"] = sorted(
        bind for bind in host["Binds"] if not bind.endswith(":/data")
    )  # an anonymous one has a name now
    config["Labels"] = {
        key: value for key, value in config["Labels"].items() if not key.startswith("roost.")
    }
    config["Volumes"] = None
    config["Env"] = sorted(each for each in config["Env"])
    networks = {
        name: {
            "ip": each["IPAMConfig"],
            "aliases": sorted(
                alias for alias in each["Aliases"] or [] if not text["Id"].startswith(alias)
            ),
        }
        for name, each in text["NetworkSettings"]["Networks"].items()
    }
    mounts = sorted(
        f"{each.get('Name') or each['Source']}:{each['Destination']}:{each['RW']}"
        for each in text["Mounts"]
    )
    found = {key: text[key] for key in ("Name", "Path", "Args", "Image")}
    return pruned({**found, "host": host, "config": config, "networks": networks, "mounts": mounts})


async def test_what_cannot_go_along_is_said_first(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("detector", *ON_FIRST)
        engine.docker("exec", "detector", "sh", "-c", "mkdir /scratch; echo 1 > /scratch/cache")
        plan = await node.workloads.plan_pin("detector", pin_request("1"))
        [planned] = plan.workloads
        assert planned.lost == [
            "1 file changed inside the container, not on a volume: /scratch/cache"
        ]
        node.run("gone", "--rm")
        plan = await node.workloads.plan_pin("gone", pin_request("1"))
        assert [problem.code for problem in plan.problems] == ["pin.auto_remove"]
