"""A real agent that is killed (SIGKILL) in each state of a job of engines, and the next one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import onnx_made
from tests.agent.engines.engine_side import RTX_PLAN, recipe, rtx_stand_in
from tests.agent_process import AgentProcess
from tests.real.docker_engine import DockerEngine
from tests.real.python_image import WITH_TENSORRT

pytestmark = [pytest.mark.real("docker"), pytest.mark.timeout(120)]

# Its digest takes seconds, in which the agent is killed; it takes no room on the disk.
LARGE = 8 * 2**30


def hold(folder: Path, what: str = "True") -> str:
    """Python that waits where `what` is so, for as long as a file is there."""
    (folder / "hold").touch()
    return (
        f"while {what} and pathlib.Path({str(folder / 'hold')!r}).exists():\n"
        f"    pathlib.Path({str(folder / 'held')!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(0.02)"
    )


@pytest.fixture
def onnx(short_folder: Path) -> Path:
    models = short_folder / "models"  # which the image's user may read
    models.mkdir()
    path = models / "detector.onnx"
    path.write_bytes(onnx_made.detector(blocks=1))
    return path


@pytest.fixture
def agent(short_folder: Path) -> Iterator[AgentProcess]:
    settings = {"engines": {"python": str(short_folder / "python")}}
    made = AgentProcess(short_folder, settings)
    yield made
    made.close()


def post(agent: AgentProcess, path: str, body: Any) -> str:
    with agent.client() as client:
        answer = client.post(path, json=body)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def build(agent: AgentProcess, onnx: Path, **changes: Any) -> str:
    body = {"recipe": msgspec.to_builtins(recipe(onnx, **changes))}
    return post(agent, "/v1/engines/build", body)


def job(agent: AgentProcess, job_id: str) -> Any:
    return agent.get(f"/v1/jobs/{job_id}")


def until(agent: AgentProcess, job_id: str, stage: str) -> None:
    while job(agent, job_id)["stage"] != stage:
        time.sleep(0.02)


def ended(agent: AgentProcess, job_id: str) -> Any:
    while (found := job(agent, job_id))["state"] in ("queued", "running"):
        time.sleep(0.05)
    return found


def held(folder: Path) -> int:
    """Wait until the builder waits; its PID."""
    file = folder / "held"
    while not (file.exists() and file.read_text()):
        time.sleep(0.02)
    return int(file.read_text())


def is_gone(pid: int) -> None:
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.02)


def files(folder: Path) -> list[str]:
    engines = folder / "state" / "engines" / "detector"
    return sorted(path.name for path in engines.iterdir())


@pytest.mark.parametrize(
    ("stage", "begin", "ending"),
    [
        ("looking", "True", None),
        ("building", None, "True"),
    ],
)
def test_the_next_agent_builds(
    agent: AgentProcess,
    onnx: Path,
    short_folder: Path,
    stage: str,
    begin: str | None,
    ending: str | None,
) -> None:
    rtx_stand_in(
        short_folder,
        hold(short_folder, ending) if ending else "",
        begin=hold(short_folder, begin) if begin else "",
    )
    agent.start()
    job_id = build(agent, onnx)
    until(agent, job_id, stage)
    pid = held(short_folder)
    agent.close()
    rtx_stand_in(short_folder)
    agent.start()
    if stage == "building":
        is_gone(pid)  # though nobody let it go on
    found = ended(agent, job_id)
    (short_folder / "hold").unlink()
    assert (found["state"], found["result"]["current"]) == ("succeeded", "yes"), found
    assert files(short_folder) == sorted([found["result"]["key"], "current"])


def test_killed_while_it_keeps_the_engine(
    agent: AgentProcess, onnx: Path, short_folder: Path
) -> None:
    """The engine before stays the one in use until the new one is whole."""
    rtx_stand_in(short_folder)
    agent.start()
    first = ended(agent, build(agent, onnx))["result"]["key"]
    large = rtx_stand_in(short_folder)
    said = large.read_text()
    line = next(each for each in said.splitlines() if "write_bytes" in each)
    grown = f"{line}; os.truncate(job['plan'], {LARGE})"
    said = said.replace(line, grown).replace(
        f"'plan_bytes': {len(RTX_PLAN)}", f"'plan_bytes': {LARGE}"
    )
    large.write_text(said)
    job_id = build(agent, onnx, optimization_level=1)
    until(agent, job_id, "keeping")
    agent.close()
    current = short_folder / "state" / "engines" / "detector" / "current"
    assert current.readlink() == Path(first)
    rtx_stand_in(short_folder)
    found = ended(agent.start(), job_id)
    assert (found["state"], found["result"]["current"]) == ("succeeded", "yes"), found
    second = found["result"]["key"]
    assert files(short_folder) == sorted([first, second, "current"])
    assert current.readlink() == Path(second)
    assert (current / "model.plan").stat().st_size == len(RTX_PLAN)


def test_killed_while_it_tries_an_import(agent: AgentProcess, short_folder: Path) -> None:
    rtx_stand_in(short_folder, hold(short_folder, "job['action'] == 'check'"))
    plan = short_folder / "old.plan"
    # As that of this TensorRT, so that it need not be tried on a GPU.
    plan.write_bytes(RTX_PLAN)
    agent.start()
    job_id = post(agent, "/v1/engines/import", {"model": "detector", "plan": str(plan)})
    until(agent, job_id, "checking")
    pid = held(short_folder)
    agent.close()
    rtx_stand_in(short_folder)
    found = ended(agent.start(), job_id)
    is_gone(pid)
    (short_folder / "hold").unlink()
    assert (found["state"], found["result"]["current"]) == ("succeeded", "yes"), found
    assert files(short_folder) == sorted([found["result"]["key"], "current"])


def test_a_container_of_an_agent_that_was_killed(
    short_folder: Path, onnx: Path, engine: DockerEngine
) -> None:
    onnx.write_bytes(onnx_made.detector(blocks=400, channels=8))
    with AgentProcess(short_folder, {"runtime": engine.url}) as agent:
        job_id = build(agent, onnx, executor="container", image=WITH_TENSORRT)
        until(agent, job_id, "building")
        while not (before := builds(engine)):
            time.sleep(0.05)
        agent.close()
        assert builds(engine) == before  # nobody ended it
        onnx.write_bytes(onnx_made.detector(blocks=1))
        found = ended(agent.start(), job_id)
        assert found["problem"] is None, found["problem"]["detail"]
        assert engine.docker("ps", "--all", "--quiet") == ""


def builds(engine: DockerEngine) -> list[str]:
    shown = engine.docker(
        "ps", "--no-trunc", "--format", "{{json .}}", "--filter", "label=roost.engine-build"
    )
    return [str(json.loads(line)["ID"]) for line in shown.splitlines()]
