"""A real agent and a real HAProxy, both killed (SIGKILL) while a rollout shares requests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from agent.protocol.deployments import ApplyRequest, DeployOptions
from tests.agent.traffic import load
from tests.agent.traffic.weighted import PORT, serving
from tests.agent_process import AgentProcess
from tests.real import gateway_image
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.fixture
def agent(engine: DockerEngine, short_folder: Path) -> Iterator[AgentProcess]:
    """In the network that its containers publish their ports in, as on a node."""
    settings = {"runtime": engine.url, "traffic": {"image": gateway_image.IMAGE}}
    inside = ("nsenter", f"--target={engine.enclosure.pid}", "--net", "--")
    made = AgentProcess(short_folder, settings, inside=inside)
    made.start()
    yield made
    made.close()


def apply(agent: AgentProcess, version: str, **options: Any) -> None:
    request = ApplyRequest(
        release=version, workloads=[serving(version)], options=DeployOptions(**options)
    )
    with agent.client() as client:
        answer = client.post("/v1/workloads", content=msgspec.json.encode(request))
        assert answer.is_success, answer.text


def renew(agent: AgentProcess, deployment: str, weight: int | None) -> dict[str, Any]:
    with agent.client() as client:
        answer = client.post(f"/v1/deployments/{deployment}/renew", json={"weight": weight})
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json()
        return told


def until(so: Callable[[], bool]) -> None:
    while True:
        try:
            if so():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)


def pid_of(engine: DockerEngine, name: str) -> int:
    return int(engine.docker("inspect", "--format", "{{.State.Pid}}", name))


def shares(engine: DockerEngine, count: int) -> dict[str, int]:
    """So many requests, and who answered."""
    words = [*engine.enclosure.entering(), sys.executable, load.__file__, str(PORT), "200"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        time.sleep(count / 200)
        said, _ = process.communicate()
    told = json.loads(said)
    assert told["failed"] == []
    answers: dict[str, int] = told["answers"]["start"]
    return answers


def test_agent_and_proxy_killed_at_once_come_back_as_they_were(
    engine: DockerEngine, agent: AgentProcess
) -> None:
    def state() -> Any:
        return agent.get("/v1/workloads/web").get("deployment_state")

    apply(agent, "one")
    until(lambda: state() == "done")
    apply(agent, "two", confirm="manual", steered_by="r1")
    until(lambda: state() == "canary")
    deployment = agent.get("/v1/workloads/web")["deployment"]
    until(lambda: renew(agent, deployment, 30)["weight"] == 30)
    proxy = pid_of(engine, "roost-traffic-web")
    agent.close()  # SIGKILL
    os.kill(proxy, signal.SIGKILL)
    until(lambda: pid_of(engine, "roost-traffic-web") not in (0, proxy))
    before = shares(engine, 400)  # without any agent
    assert before["two"] / sum(before.values()) == pytest.approx(0.3, abs=0.02)
    agent.start()
    until(lambda: state() == "canary")
    assert renew(agent, deployment, None)["weight"] == 30
    until(lambda: _arms(agent, deployment)["weight"] == 30)
    after = shares(engine, 400)
    assert after["two"] / sum(after.values()) == pytest.approx(0.3, abs=0.02)

    def measured() -> bool:
        arms = _arms(agent, deployment)
        told = {name: arms[name].get("requests") for name in ("stable", "candidate")}
        return all(told.values()) and {
            name: (each["requests"], each["errors"]) for name, each in told.items()
        } == {"stable": (after["one"], 0), "candidate": (after["two"], 0)}

    until(measured)
    with agent.client() as client:
        assert client.post(f"/v1/deployments/{deployment}/revert").is_success
    until(lambda: state() == "reverted")
    assert set(shares(engine, 100)) == {"one"}


def _arms(agent: AgentProcess, deployment: str) -> dict[str, Any]:
    """What the node measured of both; with `weight` None while there is nothing yet."""
    workloads = agent.get(f"/v1/deployments/{deployment}/arms")["workloads"]
    return dict(workloads[0]) if workloads else {"weight": None}
