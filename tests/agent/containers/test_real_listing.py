"""The table of containers against real runtimes."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import by_name, docker, is_podman, run, sh, until_state
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.runtime import PrivateRuntime
from tests.waiting import until


async def test_facts(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    facts = await runtime.facts()
    assert (facts.state, facts.reason, facts.address) == ("ok", None, part.url)
    version = await docker(part, "version", "--format", "{{.Server.Version}}")
    assert facts.version == version
    assert facts.name == ("Podman" if is_podman(part) else "Docker Engine")
    assert facts.image_store == ("podman" if is_podman(part) else "graphdriver")
    assert facts.root_dir is not None
    assert facts.root_dir.startswith(str(part.folder))
    assert "runc" in facts.runtimes
    assert facts.cgroup_driver == "cgroupfs"
    assert facts.cgroup_version == await docker(part, "info", "--format", "{{.CgroupVersion}}")
    assert not facts.rootless


async def test_a_container_through_its_life(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    runtime.on_change(changed)
    await runtime.facts()
    assert runtime.containers() == {}
    made = await docker(
        part, "create", "--name", "a_B.c-9", "--label", "k=v", IMAGE, "sleep", "600"
    )
    created = await until_state(runtime, "a_B.c-9", "created")
    assert created is not None
    assert (created.id, created.labels, created.command) == (made, {"k": "v"}, "sleep 600")
    assert created.image.endswith(IMAGE)
    assert created.started_at is None
    await docker(part, "start", "a_B.c-9")
    started = await until_state(runtime, "a_B.c-9", "running")
    assert started is not None
    assert started.started_at is not None
    assert started.exit_code is None
    await docker(part, "rename", "a_B.c-9", "other")
    await until_state(runtime, "other", "running")
    await docker(part, "kill", "other")
    ended = await until_state(runtime, "other", "exited")
    assert ended is not None
    assert ended.exit_code == 137
    assert ended.finished_at is not None
    assert ended.finished_at >= started.started_at
    await docker(part, "rm", "other")
    await until_state(runtime, "other", None)
    assert changes >= 5


async def test_containers_that_were_there_before(part: PrivateRuntime) -> None:
    await run(part, "runs", "sleep", "600")
    await run(part, "ended", "false")
    await docker(part, "wait", "ended")
    runtime = DockerRuntime([part.url])
    await runtime.start()
    assert (await runtime.facts()).state == "ok"
    assert {one.name: one.state for one in runtime.containers().values()} == {
        "runs": "running",
        "ended": "exited",
    }
    ended = by_name(runtime, "ended")
    assert ended is not None
    assert ended.exit_code == 1
    await runtime.stop()


async def test_many_at_once_and_who_did_not_change(
    runtime: DockerRuntime, part: PrivateRuntime
) -> None:
    await run(part, "quiet", "sleep", "600", options="--network none")
    before = await until_state(runtime, "quiet", "running")
    names = [f"many-{number}" for number in range(5)]
    for name in names:
        words = ("create", "--name", name, "--network", "none", IMAGE, "sleep", "600")
        await docker(part, *words)
    await docker(part, "start", *names)
    for name in names:
        await until_state(runtime, name, "running")
    assert by_name(runtime, "quiet") is before
    assert len(runtime.containers()) == 6


async def test_details(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    options = "-e TOKEN=hunter2 -v /tmp:/in:ro --memory 64m --restart on-failure:3 -u 0:0"
    made = await run(part, "full", "sleep", "600", options=options)
    found = await runtime.details("full")
    assert found.container.id == made
    assert "TOKEN" in found.environment_names
    assert "hunter2" not in repr(found)
    assert found.mounts == ["/tmp:/in:ro"]
    assert found.restart_policy == "on-failure:3"
    assert found.pid is not None
    assert psutil.pid_exists(found.pid)
    assert found.networks == ["podman" if is_podman(part) else "bridge"]
    assert (await runtime.details(made[:12])).container.name == "full"


async def test_a_published_port(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await run(part, "web", "sleep", "600", options="-p 127.0.0.1:8080:80")
    assert (await runtime.details("web")).container.ports == ["127.0.0.1:8080->80/tcp"]


async def test_names_that_do_not_fit(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await run(part, "web-1", "sleep", "600")
    await until_state(runtime, "web-1", "running")
    for name in ("web-2", "../containers/web-1", "web-1/../web-1", "\x1b[31mx"):
        with pytest.raises(ProblemError) as raised:
            await runtime.details(name)
        assert raised.value.code == "container.not_found"
        assert "\x1b" not in raised.value.detail
    assert raised.value.hint
    with pytest.raises(ProblemError) as raised:
        await runtime.details("web-2")
    assert raised.value.params["nearest"] == "web-1"


async def test_a_container_that_fails_again_and_again(
    runtime: DockerRuntime, part: PrivateRuntime
) -> None:
    await sh(part, "loop", "exit 7", options="--restart always")

    def restarted() -> bool:
        one = by_name(runtime, "loop")
        return one is not None and one.restart_count >= 2

    await until(restarted)
    assert (await runtime.details("loop")).container.exit_code in (7, None)


@pytest.mark.real
async def test_health(docker_engine: DockerEngine) -> None:
    docker_engine.clear()
    runtime = DockerRuntime([docker_engine.url])
    await runtime.start()
    options = "--health-interval 200ms --health-retries 1 --health-cmd"
    words = [*options.split(), "test -e /tmp/well"]
    await docker(
        docker_engine, "run", "-d", "--name", "ill", *words, IMAGE, "sh", "-c", "sleep 600"
    )

    def health(said: str) -> bool:
        one = by_name(runtime, "ill")
        return one is not None and one.health == said

    await until(lambda: health("unhealthy"))
    await docker(docker_engine, "exec", "ill", "touch", "/tmp/well")
    await until(lambda: health("healthy"))
    await runtime.stop()
    docker_engine.clear()


@pytest.mark.real
async def test_gpus_that_were_asked_for(docker_engine: DockerEngine) -> None:
    docker_engine.clear()
    runtime = DockerRuntime([docker_engine.url])
    await runtime.start()
    asks = {
        "two": ("--gpus", '"device=GPU-aaa,GPU-bbb"'),
        "all": ("--gpus", "all"),
        "count": ("--gpus", "1"),
        "none": (),
        "node": ("--device", "/dev/null:/dev/nvidia0"),
    }
    for name, words in asks.items():
        await docker(docker_engine, "create", "--name", name, *words, IMAGE)
        await until_state(runtime, name, "created")
    found = {one.name: (one.gpus, one.gpu_way) for one in runtime.containers().values()}
    assert found == {
        "two": (["GPU-aaa", "GPU-bbb"], "device_request"),
        "all": (["all"], "device_request"),
        "count": (["0"], "device_request"),
        "none": ([], "none"),
        "node": ([], "none"),  # what counts is the device of the machine
    }
    await runtime.stop()
    docker_engine.clear()


async def test_two_readers_of_one_runtime(part: PrivateRuntime) -> None:
    readers = [DockerRuntime([part.url]) for _ in range(2)]
    for reader in readers:
        await reader.start()
    await run(part, "seen", "sleep", "600")
    await asyncio.gather(*(until_state(reader, "seen", "running") for reader in readers))
    for reader in readers:
        await reader.stop()
