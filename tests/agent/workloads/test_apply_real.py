"""Workloads applied to a real Docker Engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.deployments import ApplyRequest, DeployOptions, ResolveRequest
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import (
    ExecProbe,
    GpuRequest,
    Healthcheck,
    HttpProbe,
    Mount,
    NetworkUse,
    Port,
    SecretUse,
    Workload,
)
from agent.workloads.applying import Rules
from tests.agent.workloads.workload_side import (
    SERVES,
    UUIDS,
    WorkloadSide,
    pin_request,
    workload_side,
)
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


def workload(name: str = "web", **more: Any) -> Workload:
    """One that serves and stops when it is told."""
    return Workload(**{"name": name, "image": IMAGE, "command": SERVES, "soak": 0.0, **more})


def code_of(job: Any) -> str:
    assert job.problem is not None, job
    return str(job.problem.code)


async def codes(node: WorkloadSide, *workloads: Workload) -> list[str]:
    planned = await node.plan(*workloads)
    return [problem.code for each in planned for problem in each.problems]


async def test_one_is_made_changed_kept_and_removed(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        one = workload(
            environment={"MODEL": "a"}, restart="unless-stopped", ports=[Port(target=80)]
        )
        assert (await node.apply(one)).state == "succeeded"
        first = node.inspect("web")
        assert "MODEL=a" in first["Config"]["Env"]
        assert first["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert first["Config"]["Image"] == IMAGE
        [again] = await node.plan(one)
        assert again.action == "keep"

        other = workload(environment={"MODEL": "b"}, restart="unless-stopped")
        [planned] = await node.plan(other)
        assert planned.action == "replace"
        assert (await node.apply(other, release="r2")).state == "succeeded"
        assert "MODEL=b" in node.inspect("web")["Config"]["Env"]
        assert sorted(node.names().values()) == ["exited", "running"]

        job = await node.undo("web")
        assert job.state == "succeeded"
        assert node.inspect("web")["Id"] == first["Id"]
        [status] = await node.workloads.list()
        assert (status.release, status.deployment_state) == ("r1", "reverted")

        await node.ended(await node.workloads.remove("web", owner="maria", key=None))
        assert node.names() == {}
        assert await node.workloads.list() == []


async def test_a_plan_while_another_deployment_waits(engine: DockerEngine, tmp_path: Path) -> None:
    """The candidate has the workload's name by then: whose it is, is told."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(workload(environment={"V": "1"}))).state == "succeeded"
        request = ApplyRequest(
            release="r2",
            workloads=[workload(environment={"V": "2"})],
            options=DeployOptions(confirm="manual"),
        )
        job = await node.workloads.apply(request, owner="nina", key=None)
        shown = await node.reaches("canary")
        while node.names().get("web") != "running":  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.01)
        [planned] = await node.plan(workload(environment={"V": "3"}))
        [problem] = planned.problems
        assert problem.code == "deployment.under_way"
        assert f"deployment {shown.id} (r2, by nina) is canary" in problem.detail
        [problem] = (await node.workloads.plan_pin("web", pin_request("0"))).problems
        assert problem.code == "deployment.under_way"
        await node.workloads.deployments.confirm(shown.id)
        assert (await node.ended(job)).state == "succeeded"
        assert await codes(node, workload(environment={"V": "3"})) == []


async def test_all_or_nothing(engine: DockerEngine, tmp_path: Path) -> None:
    """The second one does not become well: the first one goes, too."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        await node.apply(workload("api", environment={"V": "1"}))
        before = node.inspect("api")["Id"]
        job = await node.apply(
            workload("api", environment={"V": "2"}),
            workload("front", command=["sh", "-c", "exit 4"], depends_on={"api": "started"}),
        )
        assert code_of(job) == "deploy.unwell"
        assert node.names() == {"api": "running"}
        assert node.inspect("api")["Id"] == before


async def test_each_waits_for_what_it_depends_on(engine: DockerEngine, tmp_path: Path) -> None:
    share = Mount(kind="volume", source="shared", target="/shared")
    async with workload_side(engine, tmp_path / "agent.db") as node:
        job = await node.apply(
            workload(
                "init",
                command=["sh", "-c", "sleep 1; echo ready > /shared/file"],
                mounts=[share],
            ),
            workload(
                "app",
                command=["sh", "-c", f"cat /shared/file || exit 1; {SERVES[2]}"],
                mounts=[share],
                depends_on={"init": "completed"},
            ),
        )
        assert job.state == "succeeded", job
        assert node.names() == {"app": "running", "init": "exited"}
        await node.ended(await node.workloads.remove("app", owner="m", key=None))
        await node.ended(await node.workloads.remove("init", owner="m", key=None))
    assert "shared" in engine.docker("volume", "ls", "--quiet")
    engine.docker("volume", "rm", "shared")


async def test_probes_decide(engine: DockerEngine, tmp_path: Path) -> None:
    serves = "mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"
    async with workload_side(engine, tmp_path / "agent.db") as node:
        job = await node.apply(
            workload(
                command=["sh", "-c", serves],
                probes=[HttpProbe(port=8080), ExecProbe(command=["test", "-e", "/www"])],
            )
        )
        assert job.state == "succeeded", job
        job = await node.apply(
            workload(
                command=["sh", "-c", serves],
                environment={"V": "2"},
                probes=[HttpProbe(port=8080, path="/missing")],
                start_deadline=2.0,
            )
        )
        assert code_of(job) == "deploy.unwell"
        assert "404" in job.problem.detail if job.problem else ""
        assert node.names() == {"web": "running"}


async def test_networks_volumes_secrets_and_folders(engine: DockerEngine, tmp_path: Path) -> None:
    secrets = engine.folder / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "camera").write_text("hunter2")
    data = engine.folder / "data" / "web"
    async with workload_side(engine, tmp_path / "agent.db") as node:
        job = await node.apply(
            workload(
                networks=[
                    NetworkUse(name="shop_front", aliases=["web"]),
                    NetworkUse(name="shop_back"),
                ],
                mounts=[
                    Mount(kind="bind", source=str(data), target="/data"),
                    Mount(kind="tmpfs", target="/scratch", size_bytes=1 << 20),
                ],
                secrets=[SecretUse(name="camera", target="/run/secrets/camera")],
                healthcheck=Healthcheck(test=["CMD", "true"], interval=0.5),
                memory_limit_bytes=64 << 20,
                cpus=0.5,
                read_only=True,
                init=True,
            )
        )
        assert job.state == "succeeded", job
        found = node.inspect("web")
        assert sorted(found["NetworkSettings"]["Networks"]) == ["shop_back", "shop_front"]
        assert data.is_dir()
        assert engine.docker("exec", "web", "cat", "/run/secrets/camera") == "hunter2"
        assert "hunter2" not in str(found) + (tmp_path / "agent.db").read_bytes().decode("latin-1")
        assert found["HostConfig"]["NanoCpus"] == 500_000_000
        await node.ended(await node.workloads.remove("web", owner="m", key=None))
    engine.docker("network", "rm", "shop_front", "shop_back")


async def test_gpus_are_shared_out(engine: DockerEngine, tmp_path: Path) -> None:
    gib = 1 << 30
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("other")  # writes the nvidia-smi that is mounted below
        smi = Mount(
            kind="bind",
            source=str(engine.folder / "nvidia-smi"),
            target="/bin/nvidia-smi",
            read_only=True,
        )

        def on(select: str, **more: Any) -> dict[str, Any]:
            return {"mounts": [smi], "gpu": GpuRequest(select=select, **more)}

        job = await node.apply(
            workload("one", **on("least-memory", memory_bytes=20 * gib)),
            workload("two", **on("least-memory", memory_bytes=20 * gib)),
            workload("three", **on("least-memory", exclusive=True)),
        )
        assert job.state == "succeeded", job
        placed = {each.name: each.gpus for each in await node.workloads.list()}
        assert placed == {"one": [UUIDS[0]], "two": [UUIDS[1]], "three": [UUIDS[2]]}
        assert "ROOST_GPU_MEMORY_BYTES=21474836480" in node.inspect("one")["Config"]["Env"]

        assert await codes(node, workload("four", **on("0", memory_bytes=5 * gib))) == [
            "placement.memory"
        ]
        assert await codes(node, workload("four", **on("2"))) == ["placement.exclusive"]
        assert await codes(node, workload("four", **on("7"))) == ["placement.unknown"]
        many = await node.plan(workload("each", **on("spread", memory_bytes=gib)))
        assert [each.name for each in many] == ["each-0", "each-1", "each-2"]
        assert [len(each.problems) for each in many] == [0, 0, 1]


async def _volumes_that_are_there(node: WorkloadSide, root: Path) -> None:
    """They stay as somebody made them, whatever the file says."""
    for name, folder in (("etc", "/etc"), ("in", str(root))):
        options = ("type=none", "o=bind", f"device={folder}")
        node.engine.docker("volume", "create", *(f"--opt={each}" for each in options), name)
    node.engine.docker("volume", "create", "plain")
    harmless = {"type": "none", "o": "bind", "device": str(root)}
    for name, more, refused in (
        ("etc", {}, True),
        ("etc", {"external": True}, True),
        ("etc", {"driver_options": harmless}, True),
        ("in", {}, False),
        ("in", {"external": True}, False),
        ("plain", {"external": True}, False),
    ):
        mount = Mount(kind="volume", source=name, target="/v", **more)
        found = await codes(node, workload(mounts=[mount]))
        assert found == (["policy.volume_root"] if refused else []), (name, more)
    node.engine.docker("volume", "rm", "etc", "in", "plain")


async def test_in_a_container_links_are_those_of_the_machine(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """The agent's own root has none of these."""
    allowed = tmp_path / "machine" / "allowed"
    (allowed / "in").mkdir(parents=True)
    (allowed / "out").symlink_to("/etc")
    rules = Rules(secrets=tmp_path, volume_roots=(Path("/allowed"),), host=tmp_path / "machine")

    def bind(source: str) -> Workload:
        mount = Mount(kind="bind", source=source, target="/there", create_host_path=False)
        return workload(mounts=[mount])

    async with workload_side(engine, tmp_path / "agent.db", rules=rules) as node:
        assert await codes(node, bind("/allowed/in")) == []
        assert await codes(node, bind("/allowed/out")) == ["policy.volume_root"]
        assert await codes(node, bind("/allowed/none")) == ["workload.no_folder"]


async def test_what_the_node_insists_on(engine: DockerEngine, tmp_path: Path) -> None:
    root = engine.folder / "allowed"
    root.mkdir(exist_ok=True)
    (root / "out").symlink_to("/etc")
    rules = Rules(secrets=tmp_path, volume_roots=(root,), privileged=False)

    def bind(source: object) -> Workload:
        return workload(mounts=[Mount(kind="bind", source=str(source), target="/there")])

    async with workload_side(engine, tmp_path / "agent.db", rules=rules) as node:
        assert await codes(node, workload(privileged=True)) == ["policy.privileged"]
        assert await codes(node, bind("/etc")) == ["policy.volume_root"]
        assert await codes(node, bind(root / "out")) == ["policy.volume_root"]
        assert await codes(node, bind(root / ".." / "data")) == ["policy.volume_root"]
        assert await codes(node, bind(root / "in")) == []
        for options, refused in (
            ({"type": "none", "o": "bind", "device": "/etc"}, True),
            ({"type": "nfs", "o": "rbind", "device": "/etc"}, True),
            ({"type": "overlay", "device": "overlay", "o": f"lowerdir=/etc,upperdir={root}"}, True),
            ({"type": "none", "o": "bind", "device": str(root)}, False),
            ({"type": "nfs", "o": "addr=10.0.0.1", "device": ":/etc"}, False),
        ):
            mount = Mount(kind="volume", source="data", target="/v", driver_options=options)
            found = await codes(node, workload(mounts=[mount]))
            assert found == (["policy.volume_root"] if refused else []), options
        await _volumes_that_are_there(node, root)
        assert await codes(node, workload(image="nothing:1")) == ["image.not_found"]
        secret = SecretUse(name="none", target="/run/secrets/none")
        assert await codes(node, workload(secrets=[secret])) == ["secret.not_found"]
        external = NetworkUse(name="nowhere", external=True)
        assert await codes(node, workload(networks=[external])) == ["workload.no_network"]
        volume = Mount(kind="volume", source="nowhere", target="/v", external=True)
        assert await codes(node, workload(mounts=[volume])) == ["workload.no_volume"]
        node.run("web")
        assert await codes(node, workload()) == ["workload.name_taken"]
        with pytest.raises(ProblemError, match="did not place"):
            await node.apply(workload())
    (root / "out").unlink()


async def test_a_port_that_is_taken(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        node.run("other", "--publish=8090:80")
        job = await node.apply(workload(ports=[Port(target=80, published=8090)]))
        assert code_of(job) == "deploy.not_started"
        assert job.problem is not None
        assert "has that port" in str(job.problem.hint)
        assert node.names() == {"other": "running"}


@pytest.mark.parametrize(
    ("how", "state"), [("keep-old", "reverted"), ("keep-new", "done"), ("retry", "done")]
)
async def test_a_person_resolves(
    engine: DockerEngine, tmp_path: Path, how: Any, state: str
) -> None:
    """Old and new end at once while a flag stands; then each way out is gone."""
    flag = engine.folder / "broken"
    there = Mount(kind="bind", source=str(engine.folder), target="/there")

    def version(number: str) -> Workload:
        command = ["sh", "-c", f"[ -e /there/broken ] && exit 3; {SERVES[2]}"]
        return workload(
            command=command, mounts=[there], environment={"V": number}, restart="always"
        )

    async with workload_side(engine, tmp_path / "agent.db") as node:
        await node.apply(version("1"))
        first = node.inspect("web")["Id"]
        flag.touch()
        job = await node.apply(version("2"))
        flag.unlink()
        assert code_of(job) == "deploy.stuck"
        with pytest.raises(ProblemError, match="stuck"):
            await node.apply(version("3"))
        job = await node.workloads.resolve("web", ResolveRequest(how=how), by="nina")
        job = await node.ended(job)
        assert job.state == "succeeded", job
        assert node.deployment().state == state
        found = node.inspect("web")
        assert found["State"]["Running"]
        assert (found["Id"] == first) == (how == "keep-old")
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert len([each for each in node.names().values() if each == "running"]) == 1
        await asyncio.sleep(0)


async def test_the_best_of_several_images(engine: DockerEngine, tmp_path: Path) -> None:
    """The node has driver 535: CUDA 13 cannot run there, of 11.8 and 12.2 it takes the newer."""
    made = engine.docker("create", IMAGE)
    for version in ("11.8.0", "12.2.0", "13.0.0"):
        change = f"--change=ENV CUDA_VERSION={version}"
        engine.docker("commit", change, made, f"detector:cuda{version[:2]}")
    engine.docker("rm", made)
    async with workload_side(engine, tmp_path / "agent.db") as node:
        names = ["detector:cuda11", "detector:cuda12", "detector:cuda13", "detector:absent"]
        one = workload("detector", image=names[2], variants=[names[3], names[0], names[1]])
        [planned] = await node.plan(one)
        assert (planned.problems, planned.image) == ([], "detector:cuda12")
        assert "detector:cuda13 cannot run" in planned.image_why
        assert (await node.apply(one)).state == "succeeded"
        assert node.inspect("detector")["Config"]["Image"] == "detector:cuda12"
        assert [each.action for each in await node.plan(one)] == ["keep"]
        alone = workload("other", image=names[2], variants=[names[3]])
        assert await codes(node, alone) == ["workload.no_variant"]
        absent = workload("other", image=names[3], variants=["detector:gone"])
        assert await codes(node, absent) == ["image.not_found"]
    engine.docker("rm", "--force", "detector")
    engine.docker("rmi", *names[:3])
