"""A real agent that is killed (SIGKILL) in every state of a deployment, and the next one.

All share one dockerd and one agent's database, as the deployments of a node do.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.agent.workloads.test_agent_killed_real import httpx_ok, running, until
from tests.agent.workloads.workload_side import SERVES
from tests.agent_process import AgentProcess
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

FAILS = ["sh", "-c", "exit 3"]
FORWARD = ["preparing", "prepared", "starting", "probing", "canary", "confirming", "done"]
DIES = [
    ("after", "planned", SERVES, "reverted"),  # nobody was told of a job
    *(("after", state, SERVES, "done") for state in FORWARD),
    *(("after", state, FAILS, "reverted") for state in ("reverting", "reverted")),
    # What belongs to the state before is done, and not written down.
    *(("before", state, SERVES, "done") for state in ("probing", "done")),
    ("before", "reverted", FAILS, "reverted"),
]


class Home:
    """The node, of which each case finds what the one before left."""

    def __init__(self, engine: DockerEngine, folder: Path) -> None:
        self.engine, self.dies = engine, folder / "die"
        self.agent = AgentProcess(
            folder,
            {"runtime": engine.url},
            gpus=1,
            module="tests.agent.workloads.dying_agent",
        )
        self.asked = 0
        self.runs: str | None = None  # the container that runs

    def apply(self, command: list[str]) -> None:
        self.asked += 1
        workload = {
            "name": "web", "image": IMAGE, "command": command, "soak": 0.0, "restart": "always",
            "environment": {"V": str(self.asked)},
        }  # fmt: skip
        with self.agent.client() as client:
            body = {"release": str(self.asked), "workloads": [workload]}
            httpx_ok(client.post("/v1/workloads", json=body))

    def inspect(self, shown: str) -> str:
        return self.engine.docker("inspect", "--type=container", "--format", shown, "web").strip()


@pytest.fixture(scope="module")
def home(hooked: DockerEngine, make_short_folder: Callable[[], Path]) -> Iterator[Home]:
    home = Home(hooked, make_short_folder())
    with home.agent:
        home.apply(SERVES)
        until(home.agent, "done", "web")
        home.runs = home.inspect("{{.Id}}")
        yield home
    hooked.clear()


@pytest.mark.parametrize(
    ("when", "state", "command", "end"), DIES, ids=[f"{each[0]} {each[1]}" for each in DIES]
)
def test_the_next_agent_goes_on_or_back(
    home: Home, when: str, state: str, command: list[str], end: str
) -> None:
    """In the end one of the two runs, and whoever looks is told which."""
    agent = home.agent
    home.dies.write_text(f"{when} {state}", encoding="ascii")
    with contextlib.suppress(httpx.HTTPError):  # it may be gone before it answers
        home.apply(command)
    assert agent.process is not None
    assert agent.process.wait() == -signal.SIGKILL
    assert not home.dies.exists()
    agent.start()
    until(agent, end, "web")
    assert agent.get("/v1/workloads/web")["drift"] == []
    assert running(home.engine) == ["web"]
    now = home.inspect("{{.Id}}")
    assert (now == home.runs) == (end == "reverted")
    home.runs = now
    shown = home.inspect("{{.HostConfig.RestartPolicy.Name}} {{json .Config.Env}}")
    assert shown.startswith("always ")
    assert (f'"V={home.asked}"' in shown) == (end == "done")
