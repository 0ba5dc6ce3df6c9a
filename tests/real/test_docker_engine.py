"""The private Docker Engine does what a real one does, and nothing to the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.real import host_state, keeper
from tests.real.busybox import IMAGE
from tests.real.commands import CommandFailedError
from tests.real.docker_engine import DockerEngine
from tests.real.fixtures import DockerEngineFactory

pytestmark = pytest.mark.real

SERVE = "mkdir /w && echo hello >/w/index.html && exec httpd -f -p 80 -h /w"
SLEEP = ("sleep", "600")
# The port is there before httpd is.
FETCH = "until busybox wget -q -O - http://127.0.0.1:8080/ 2>/dev/null; do sleep 0.05; done"


def state(engine: DockerEngine, name: str) -> tuple[bool, int, int]:
    """Whether a container runs, its PID and how often it was started again."""
    fields = "{{.State.Running}} {{.State.Pid}} {{.RestartCount}}"
    running, pid, count = engine.docker("inspect", "--format", fields, name).split()
    return running == "true", int(pid), int(count)


def test_an_image_runs(docker_engine: DockerEngine) -> None:
    assert docker_engine.docker("run", "--rm", IMAGE, "echo", "hello") == "hello"


def test_containerd_and_all_sockets_are_its_own(docker_engine: DockerEngine) -> None:
    commands = {
        Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
        for pid in docker_engine.enclosure.processes()
    }
    assert {"dockerd", "containerd"} <= {Path(command).name for command in commands}
    assert len(str(docker_engine.socket)) < 100
    root = docker_engine.docker("info", "--format", "{{.DockerRootDir}}")
    assert Path(root).is_relative_to(docker_engine.folder)


def test_a_failed_command_says_why(docker_engine: DockerEngine) -> None:
    with pytest.raises(CommandFailedError, match="No such image: nothing"):
        docker_engine.docker("image", "inspect", "nothing")


def test_a_published_port_answers_inside_only(docker_engine_factory: DockerEngineFactory) -> None:
    before = host_state.snapshot()
    engine = docker_engine_factory()
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", IMAGE, "sh", "-c", SERVE)
    assert engine.enter("sh", "-c", FETCH).stdout == "hello\n"
    rules = engine.enter("iptables-save", "-t", "nat").stdout
    assert "--dport 8080" in rules
    assert "docker0" in engine.enter("ip", "link", "show").stdout
    # While it runs, and after it.
    assert host_state.snapshot() == before
    engine.close()
    assert host_state.snapshot() == before


def test_a_container_restarts_with_dockerd(docker_engine_factory: DockerEngineFactory) -> None:
    engine = docker_engine_factory()
    engine.docker("run", "-d", "--name", "kept", "--restart", "always", "--init", IMAGE, *SLEEP)
    engine.docker("run", "-d", "--name", "once", "--init", IMAGE, *SLEEP)
    _, before, _ = state(engine, "kept")
    engine.restart()
    running, after, _ = state(engine, "kept")
    assert running
    assert after != before
    assert not state(engine, "once")[0]


def test_kill_9_and_start_again(docker_engine_factory: DockerEngineFactory) -> None:
    engine = docker_engine_factory()
    engine.docker("run", "-d", "--name", "kept", "--restart", "always", "--init", IMAGE, *SLEEP)
    _, container, _ = state(engine, "kept")
    engine.kill()
    with pytest.raises(CommandFailedError):
        engine.docker("ps")
    assert container in engine.enclosure.processes()
    engine.start()
    running, after, _ = state(engine, "kept")
    assert running
    assert after != container


def test_daemon_json_is_ours(docker_engine_factory: DockerEngineFactory) -> None:
    engine = docker_engine_factory(
        config={
            "log-driver": "local",
            "runtimes": {"nvidia": {"path": "/usr/sbin/runc"}},
            "live-restore": True,
        }
    )
    info = json.loads(engine.docker("info", "--format", "{{json .}}"))
    assert info["LoggingDriver"] == "local"
    assert info["LiveRestoreEnabled"] is True
    assert "nvidia" in info["Runtimes"]
    engine.config["log-driver"] = "json-file"
    engine.restart()
    assert engine.docker("info", "--format", "{{.LoggingDriver}}") == "json-file"


def test_a_hook_is_in_its_path(docker_engine_factory: DockerEngineFactory) -> None:
    engine = docker_engine_factory(start=False)
    seen = engine.folder / "hook-was-given"
    engine.add_hook("nvidia-container-runtime-hook", f"#!/bin/sh\ncat >{seen}\nexit 0\n")
    engine.start()
    engine.load_busybox()
    asked = engine.docker("run", "--rm", "--gpus", "device=GPU-aaa", IMAGE, "env")
    assert "NVIDIA_VISIBLE_DEVICES=GPU-aaa" in asked.splitlines()
    assert json.loads(seen.read_text())["status"] in ("creating", "created")


def test_it_leaves_nothing(docker_engine_factory: DockerEngineFactory) -> None:
    engine = docker_engine_factory()
    name = engine.docker("run", "-d", "--memory", "64m", IMAGE, *SLEEP)
    _, container, _ = state(engine, name)
    paths = keeper.cgroup_paths(container)
    cgroups = [place for path in paths for place in keeper.cgroup_folders(path) if name in path]
    assert cgroups
    processes = [engine.enclosure.pid, *engine.enclosure.processes()]
    assert container in processes
    engine.close()
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []
    assert [place for place in cgroups if place.exists()] == []
    assert list(Path("/sys/fs/cgroup").rglob(f"roost-{engine.folder.name}")) == []
    assert not engine.folder.exists()
    assert str(engine.folder) not in Path("/proc/self/mountinfo").read_text()


def test_it_leaves_no_cgroup_of_containers_that_are_gone(
    docker_engine_factory: DockerEngineFactory,
) -> None:
    engine = docker_engine_factory()
    engine.docker("run", "--rm", IMAGE, "true")
    name = f"roost-{engine.folder.name}"
    assert list(Path("/sys/fs/cgroup").rglob(name))
    engine.close()
    assert list(Path("/sys/fs/cgroup").rglob(name)) == []
