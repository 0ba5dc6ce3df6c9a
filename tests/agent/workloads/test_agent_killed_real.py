"""A real agent that is killed (SIGKILL) in the middle of a deployment, and the next one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agent.workloads.workload_side import SERVES
from tests.agent_process import AgentProcess
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


def workload(name: str, version: str, **more: Any) -> dict[str, Any]:
    """One that serves; healthy once a file is there."""
    check = {"test": ["CMD", "test", "-e", "/there/well"], "interval": 0.5, "retries": 100}
    return {
        "name": name, "image": IMAGE, "command": SERVES, "soak": 0.0, "restart": "always",
        "environment": {"V": version}, "healthcheck": check, **more,
    }  # fmt: skip


def apply(agent: AgentProcess, version: str, there: Path, **options: Any) -> None:
    mounts = [{"kind": "bind", "source": str(there), "target": "/there"}]
    both = [
        workload("api", version, mounts=mounts),
        workload("web", version, mounts=mounts, depends_on={"api": "healthy"}),
    ]
    body = {"release": version, "workloads": both, "options": options}
    with agent.client() as client:
        httpx_ok(client.post("/v1/workloads", json=body))


def httpx_ok(answer: httpx.Response) -> None:
    assert answer.is_success, answer.text


def until(agent: AgentProcess, state: str, name: str = "api") -> None:
    """Wait until the newest deployment of a workload is in this state."""
    while agent.get(f"/v1/workloads/{name}").get("deployment_state") != state:
        time.sleep(0.05)


def running(engine: DockerEngine) -> list[str]:
    said = engine.docker("ps", "--format", "{{.Names}}")
    return sorted(said.splitlines())


@pytest.mark.parametrize("state", ["starting", "canary"])
def test_the_next_agent_goes_on(engine: DockerEngine, short_folder: Path, state: str) -> None:
    there = engine.folder / f"there-{state}"
    there.mkdir()
    (there / "well").touch()
    agent = AgentProcess(short_folder, {"runtime": engine.url})
    try:
        agent.start()
        apply(agent, "1", there)
        until(agent, "done")
        first = engine.docker("inspect", "--format", "{{.Id}}", "api")
        if state == "starting":
            (there / "well").unlink()  # the second one waits for the first to be well
        apply(agent, "2", there, confirm="manual")
        until(agent, state)
        agent.close()  # SIGKILL
        (there / "well").touch()
        agent.start()
        until(agent, "canary")
        with agent.client() as client:
            httpx_ok(client.post("/v1/workloads/api/confirm"))
        until(agent, "done")
        assert running(engine) == ["api", "web"]  # the old ones do not run beside them
        shown = "{{.Id}} {{.HostConfig.RestartPolicy.Name}} {{json .Config.Env}}"
        now = engine.docker("inspect", "--format", shown, "api")
        assert first not in now
        assert " always " in now
        assert "V=2" in now
    finally:
        agent.close()
