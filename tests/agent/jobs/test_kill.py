"""A process is killed before and after each state that it writes; the next one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.protocol.jobs import Job
from tests.agent.jobs.on_disk import jobs_on_disk
from tests.agent.jobs.small_agent import STEPS, Plan

# What is written, in turn: asked for, begun, each stage, ended.
WRITES = ("queued", "running", "one", "two", "succeeded")
CANCEL_WRITES = ("queued", "running", "one", "cancelling", "cancelled")
ROOT = Path(__file__).parents[3]


def run(plan: Plan) -> int:
    """The exit status of a process with that plan."""
    module = "tests.agent.jobs.small_agent"
    command = [sys.executable, "-m", module, msgspec.json.encode(plan).decode()]
    return subprocess.run(command, check=False, cwd=ROOT, timeout=60).returncode


def killed_and_started_again(plan: Plan) -> tuple[Job | None, Job]:
    """The job as the killed process left it, and as the next one has it in the end."""
    assert run(plan) == -signal.SIGKILL
    left = jobs_on_disk(Path(plan.folder) / "agent.db")
    assert run(msgspec.structs.replace(plan, kill=None, cancel=False)) == 0
    (job,) = jobs_on_disk(Path(plan.folder) / "agent.db")
    assert [each.id for each in left] in ([], [job.id])
    return (left[0] if left else None), job


def written(plan: Plan) -> int:
    """How many states were on disk when the process was killed."""
    return plan.write - (plan.kill == "before")


def marks(job: Job | None) -> tuple[str, str | None]:
    return (job.state, job.stage) if job else ("nothing", None)


LEFT = [
    ("nothing", None),
    ("queued", None),
    ("running", "starting"),
    ("running", "one"),
    ("running", "two"),
    ("succeeded", "two"),
]
each_write = pytest.mark.parametrize("write", range(1, len(WRITES) + 1))
each_kill = pytest.mark.parametrize("kill", ["before", "after"])


@pytest.mark.timeout(60)
@each_write
@each_kill
def test_what_is_resumable_is_done_once_wherever_it_was_killed(
    tmp_path: Path, write: int, kill: str
) -> None:
    plan = msgspec.convert(
        {"folder": str(tmp_path), "resumable": True, "kill": kill, "write": write}, Plan
    )
    left, job = killed_and_started_again(plan)
    assert marks(left) == LEFT[written(plan)]
    assert (job.state, job.result) == ("succeeded", {"steps": "2"})
    assert (tmp_path / "steps").read_text(encoding="utf-8").split() == list(STEPS)


@pytest.mark.timeout(60)
@each_write
@each_kill
def test_what_is_not_resumable_is_interrupted_once_it_began(
    tmp_path: Path, write: int, kill: str
) -> None:
    plan = msgspec.convert(
        {"folder": str(tmp_path), "resumable": False, "kill": kill, "write": write}, Plan
    )
    left, job = killed_and_started_again(plan)
    assert marks(left) == LEFT[written(plan)]
    if left is None or left.state in {"queued", "succeeded"}:
        assert (job.state, job.result) == ("succeeded", {"steps": "2"})
        return
    assert job.state == "interrupted"
    half_done = "" if left.stage == "starting" else f"; step {left.stage} may be half-done"
    assert job.reason == f"the agent ended in stage {left.stage}{half_done}"
    assert job.ended_at is not None


@pytest.mark.timeout(60)
@pytest.mark.parametrize("write", [4, 5])
@each_kill
def test_a_cancel_that_was_written_holds(tmp_path: Path, write: int, kill: str) -> None:
    plan = msgspec.convert(
        {
            "folder": str(tmp_path),
            "resumable": True,
            "cancel": True,
            "kill": kill,
            "write": write,
        },
        Plan,
    )
    left, job = killed_and_started_again(plan)
    assert left is not None
    if CANCEL_WRITES[written(plan) - 1] == "one":  # nobody was told that it is cancelled
        assert (left.cancelling, job.state) == (False, "succeeded")
        return
    assert left.cancelling or left.state == "cancelled"
    assert job.state == "cancelled"
    assert job.reason is not None
    assert job.reason.startswith("cancelled by paul")
