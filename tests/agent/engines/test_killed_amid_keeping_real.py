"""A real agent that is killed (SIGKILL) between two steps of the store, and the next one.

`current` always points at an engine that ran, or there is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.engines.gpu_room import WAITING
from tests import onnx_made
from tests.agent.engines.engine_side import PLAN, UNFIT, stand_in
from tests.agent.engines.test_agent_killed_real import (
    build,
    ended,
    files,
    held,
    hold,
    is_gone,
    job,
    post,
    until,
)
from tests.agent_process import AgentProcess

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


BUSY = "tell({'event': 'failed', 'code': 'engine.gpu_busy', 'text': '9 MiB are free'}); sys.exit(1)"


@pytest.fixture
def onnx(short_folder: Path) -> Path:
    path = short_folder / "detector.onnx"
    path.write_bytes(onnx_made.detector(blocks=1))
    return path


@pytest.fixture
def start(short_folder: Path) -> Iterator[Callable[[str], AgentProcess]]:
    """Starts an agent that dies at a step, once there is a file `die`."""
    stand_in(short_folder)
    agents: list[AgentProcess] = []

    def make(step: str) -> AgentProcess:
        agent = AgentProcess(
            short_folder,
            {"engines": {"python": str(short_folder / "python")}},
            gpus=1,
            module="tests.agent.engines.dying_agent",
            arguments=[step],
        )
        agents.append(agent)
        return agent.start()

    yield make
    for each in agents:
        each.close()


def engines(folder: Path) -> Path:
    return folder / "state" / "engines" / "detector"


def current(folder: Path) -> str | None:
    """What is in use, which ran and is there whole."""
    link = engines(folder) / "current"
    if not link.is_symlink():
        return None
    manifest = json.loads((link / "manifest.json").read_bytes())
    assert manifest["verification"] == "ran"
    assert (link / "model.plan").stat().st_size == manifest["plan_bytes"]
    return str(link.readlink())


def dies(agent: AgentProcess) -> None:
    assert agent.process is not None
    assert agent.process.wait() == -9


def good(agent: AgentProcess, job_id: str) -> Any:
    found = ended(agent, job_id)
    assert found["state"] == "succeeded", found
    return found["result"]


@pytest.mark.parametrize("step", ["written", "kept", "used"])
def test_another_engine_is_kept(
    start: Callable[[str], AgentProcess], onnx: Path, short_folder: Path, step: str
) -> None:
    agent = start(step)
    first = good(agent, build(agent, onnx))["key"]
    (short_folder / "die").touch()
    job_id = build(agent, onnx, optimization_level=1)
    dies(agent)
    assert (current(short_folder) == first) == (step != "used")
    (short_folder / "die").unlink()
    second = good(agent.start(), job_id)["key"]
    assert current(short_folder) == second
    assert files(short_folder) == sorted([first, second, "current"])


@pytest.mark.parametrize("step", ["written", "kept", "used"])
def test_one_is_built_once_more_under_its_key(
    start: Callable[[str], AgentProcess], onnx: Path, short_folder: Path, step: str
) -> None:
    agent = start(step)
    first = good(agent, build(agent, onnx))
    (short_folder / "die").touch()
    recipe = agent.get("/v1/engines")[0]["manifest"]["parts"]["recipe"]
    job_id = post(agent, "/v1/engines/build", {"recipe": recipe, "rebuild": True})
    dies(agent)
    assert current(short_folder) == first["key"] + (".2" if step == "used" else "")
    (short_folder / "die").unlink()
    again = good(agent.start(), job_id)
    assert (again["key"], again["current"]) == (first["key"], "yes")
    assert files(short_folder) == sorted([str(current(short_folder)), "current"])


@pytest.mark.parametrize("step", ["written", "kept", "used"])
def test_an_import_is_kept(
    start: Callable[[str], AgentProcess], onnx: Path, short_folder: Path, step: str
) -> None:
    agent = start(step)
    first = good(agent, build(agent, onnx))["key"]
    (short_folder / "old.plan").write_bytes(PLAN)
    (short_folder / "die").touch()
    asked = {"model": "detector", "plan": str(short_folder / "old.plan")}
    job_id = post(agent, "/v1/engines/import", asked)
    dies(agent)
    assert (current(short_folder) == first) == (step != "used")
    (short_folder / "die").unlink()
    second = good(agent.start(), job_id)["key"]
    assert str(current(short_folder)).startswith(second)
    there = {name.partition(".")[0] for name in files(short_folder)}
    assert there == {first, second, "current"}


@pytest.mark.parametrize("step", ["written", "amended"])
def test_what_a_trial_saw_is_written(
    start: Callable[[str], AgentProcess], onnx: Path, short_folder: Path, step: str
) -> None:
    agent = start(step)
    key = good(agent, build(agent, onnx))["key"]
    (short_folder / "die").touch()
    job_id = post(agent, "/v1/engines/detector/verify", {})
    dies(agent)
    assert current(short_folder) == key
    (short_folder / "die").unlink()
    assert good(agent.start(), job_id)["verification"] == "ran"
    assert files(short_folder) == sorted([key, "current"])


@pytest.mark.parametrize("step", ["used", "written", "amended"])
def test_the_one_in_use_turns_out_bad(
    start: Callable[[str], AgentProcess], onnx: Path, short_folder: Path, step: str
) -> None:
    agent = start(step)
    first = good(agent, build(agent, onnx))["key"]
    second = good(agent, build(agent, onnx, optimization_level=1))["key"]
    stand_in(short_folder, UNFIT)
    (short_folder / "die").touch()
    job_id = post(agent, "/v1/engines/detector/verify", {})
    dies(agent)
    assert current(short_folder) == first
    (short_folder / "die").unlink()
    found = ended(agent.start(), job_id)
    assert (found["state"], found["problem"]["code"]) == ("failed", "engine.unfit")
    assert current(short_folder) == first
    there = {each["manifest"]["key"]: each for each in agent.get("/v1/engines")}
    assert there[second]["manifest"]["verification"] == "header"
    assert job(agent, job_id)["state"] == "failed"


def test_killed_while_it_tries_one_again(
    start: Callable[[str], AgentProcess], onnx: Path, short_folder: Path
) -> None:
    agent = start("used")
    key = good(agent, build(agent, onnx))["key"]
    stand_in(short_folder, hold(short_folder, "job['action'] == 'check'"))
    job_id = post(agent, "/v1/engines/detector/verify", {})
    until(agent, job_id, "checking")
    pid = held(short_folder)
    agent.close()
    assert current(short_folder) == key
    stand_in(short_folder)
    assert good(agent.start(), job_id)["verification"] == "ran"
    is_gone(pid)
    assert files(short_folder) == sorted([key, "current"])


def test_killed_while_it_waits_for_room_on_the_gpu(
    start: Callable[[str], AgentProcess], onnx: Path, short_folder: Path
) -> None:
    agent = start("used")
    first = good(agent, build(agent, onnx))["key"]
    stand_in(short_folder, BUSY)
    job_id = build(agent, onnx, optimization_level=1)
    until(agent, job_id, WAITING)
    agent.close()
    assert current(short_folder) == first
    stand_in(short_folder)
    second = good(agent.start(), job_id)["key"]
    assert current(short_folder) == second
    assert files(short_folder) == sorted([first, second, "current"])
