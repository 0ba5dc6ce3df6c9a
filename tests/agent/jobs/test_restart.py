"""What becomes of jobs when the agent ends in order, and when its database fails."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.jobs import run as run_module
from agent.jobs.job_store import JobStore, StoredJob
from agent.jobs.recovery import RUNS_LIMIT, Ended, GoesOn, recover
from agent.jobs.work import Work
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from tests.agent.jobs.conftest import StartJobs
from tests.agent.jobs.kinds import Brush, Paint, Painting, ended
from tests.agent.jobs.on_disk import jobs_on_disk, lines_on_disk
from tests.waiting import until

WALL = Paint(what="wall")


def painting(brush: Brush, *, resumable: bool = False) -> Painting:
    async def paint(work: Work[Paint]) -> dict[str, str]:
        work.log("I begin")
        await work.stage("first coat", 60, leaves="the wall is half red")
        return await brush.paint(work)

    kind = Painting(paint)
    kind.resumable = resumable
    return kind


async def test_what_is_resumable_goes_on_in_the_next_agent(
    start_jobs: StartJobs, database_file: Path
) -> None:
    brush = Brush()
    kind = painting(brush, resumable=True)
    jobs = await start_jobs(kind)
    asked = await jobs.submit("test.paint", WALL, owner="maria")
    waiting = await jobs.submit("test.paint", Paint(what="door"), owner="maria")
    await brush.begun.wait()
    await jobs.stop()
    assert [job.state for job in jobs_on_disk(database_file)] == ["running", "queued"]
    brush.begun.clear()
    jobs = await start_jobs(kind)
    await brush.begun.wait()
    assert kind.began == ["wall", "wall"]
    brush.enough.set()
    job = await ended(jobs, asked)
    assert (job.state, job.owner) == ("succeeded", "maria")
    assert (await ended(jobs, waiting)).state == "succeeded"
    lines = [line async for batch in jobs.log(job.id) for line in batch]
    assert [(line.number, line.text) for line in lines] == [
        (1, "I begin"),
        (2, "the agent started again, and this begins anew"),
        (3, "I begin"),
    ]


async def test_what_is_not_resumable_is_interrupted_and_says_what_is_left(
    start_jobs: StartJobs, database_file: Path
) -> None:
    brush = Brush()
    jobs = await start_jobs(painting(brush))
    asked = await jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    await jobs.stop()
    (job,) = jobs_on_disk(database_file)
    assert job.id == asked.id
    assert (job.state, job.reason) == (
        "interrupted",
        "the agent ended in stage first coat; the wall is half red",
    )
    kind = painting(brush)
    jobs = await start_jobs(kind)
    assert jobs.get(asked.id) == job
    assert kind.over == []
    brush.enough.set()
    again = await jobs.retry(asked.id, owner="maria")
    assert (await ended(jobs, again)).state == "succeeded"


async def test_a_stopped_agent_takes_nothing(start_jobs: StartJobs) -> None:
    jobs = await start_jobs(Painting())
    await jobs.stop()
    with pytest.raises(ProblemError) as caught:
        await jobs.submit("test.paint", WALL, owner="maria")
    assert caught.value.code == "node.not_ready"


async def test_jobs_of_an_unknown_kind_or_shape_are_interrupted(
    start_jobs: StartJobs, database_file: Path
) -> None:
    brush = Brush()
    jobs = await start_jobs(painting(brush, resumable=True))
    first = await jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    second = await jobs.submit("test.paint", Paint(what="door"), owner="maria")
    await jobs.stop()
    with closing(sqlite3.connect(database_file)) as connection, connection:
        connection.execute("UPDATE jobs SET request = CAST('{}' AS BLOB) WHERE id = ?", [first.id])
    jobs = await start_jobs(painting(brush, resumable=True))
    reason = jobs.get(first.id).reason
    assert jobs.get(first.id).state == "interrupted"
    assert reason is not None
    assert "cannot read what was asked for" in reason
    with pytest.raises(ProblemError) as caught:
        await jobs.retry(first.id, owner="maria")
    assert caught.value.code == "job.not_retryable"
    await until(lambda: jobs.get(second.id).state == "running")
    jobs = await start_jobs()
    assert jobs.get(second.id).state == "interrupted"
    assert jobs.get(second.id).reason == "this agent knows no jobs of kind test.paint"


def stored_job(*, runs: int = 1, cancelling: bool = False) -> StoredJob:
    job = Job(
        id="0",
        kind="test.paint",
        subject="wall",
        state="running",
        stage="first coat",
        owner="maria",
        created_at=1.0,
        cancelling=cancelling,
        reason="cancelled by paul" if cancelling else None,
    )
    return StoredJob(job=job, request_bytes=2, runs=runs)


def test_a_job_that_ends_the_agent_each_time_is_given_up() -> None:
    kinds = {"test.paint": painting(Brush(), resumable=True)}
    request = msgspec.json.encode(WALL)
    found = recover(stored_job(runs=RUNS_LIMIT - 1), request, kinds)
    assert found == GoesOn(kinds["test.paint"], WALL, frozenset())
    found = recover(stored_job(runs=RUNS_LIMIT), request, kinds)
    assert isinstance(found, Ended)
    assert found.state == "interrupted"
    assert f"{RUNS_LIMIT} times" in found.reason


def test_a_job_that_was_being_cancelled_does_not_begin_again() -> None:
    kinds = {"test.paint": painting(Brush(), resumable=True)}
    found = recover(stored_job(cancelling=True), msgspec.json.encode(WALL), kinds)
    assert found == Ended("cancelled", "cancelled by paul; the agent ended in stage first coat")


async def test_what_cannot_be_read_or_is_a_mistake_does_not_keep_the_agent_down(
    start_jobs: StartJobs, database_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(Painting):
        def locks(self, request: Paint) -> Sequence[str]:
            raise ValueError("no locks today")

    brush = Brush()
    jobs = await start_jobs(painting(brush, resumable=True))
    first = await jobs.submit("test.paint", WALL, owner="maria", key="a")
    second = await jobs.submit("test.paint", WALL, owner="maria", key="b")
    await brush.begun.wait()
    await jobs.stop()
    with closing(sqlite3.connect(database_file)) as connection, connection:
        connection.execute("UPDATE jobs SET record = '{}' WHERE id = ?", [first.id])
    wrong = Wrong()
    jobs = await start_jobs(wrong)
    assert wrong.over == [("wall", "interrupted")]
    assert [job.id for job in jobs.newest()] == [second.id]
    assert jobs.get(second.id).reason == "the agent made a mistake: ValueError"
    assert "a job is left out" in caplog.text
    with pytest.raises(ValueError, match="no locks today"):
        await jobs.submit("test.paint", WALL, owner="maria")
    assert len(jobs.newest()) == 1


class FullDisk:
    """A JobStore whose disk is full while `full`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        save, add, add_lines = JobStore.save, JobStore.add, JobStore.add_lines

        def checked(function: Callable[..., None]) -> Callable[..., None]:
            def call(*args: Any, **kwargs: Any) -> None:
                if self.full:
                    raise ProblemError("store.failed", "disk full", hint="make room")
                function(*args, **kwargs)

            return call

        monkeypatch.setattr(JobStore, "save", checked(save))
        monkeypatch.setattr(JobStore, "add", checked(add))
        monkeypatch.setattr(JobStore, "add_lines", checked(add_lines))


async def test_an_end_that_cannot_be_written_is_written_later(
    start_jobs: StartJobs, monkeypatch: pytest.MonkeyPatch, database_file: Path
) -> None:
    monkeypatch.setattr(run_module, "WRITE_AGAIN_SECONDS", 0.01)
    disk = FullDisk(monkeypatch)
    brush = Brush()
    jobs = await start_jobs(painting(brush))
    asked = await jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    disk.full = True
    brush.enough.set()
    await until(lambda: "cannot be written" in (jobs.get(asked.id).reason or ""))
    assert jobs.get(asked.id).state == "running"
    with pytest.raises(ProblemError) as caught:
        await jobs.submit("test.paint", Paint(what="door"), owner="maria", key="k")
    assert caught.value.code == "store.failed"
    disk.full = False
    job = await ended(jobs, asked)
    assert (job.state, job.reason) == ("succeeded", None)
    assert jobs_on_disk(database_file) == [job]
    await until(lambda: lines_on_disk(database_file) == 1)


async def test_a_full_disk_does_not_keep_a_job_from_being_cancelled(
    start_jobs: StartJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "WRITE_AGAIN_SECONDS", 0.01)
    disk = FullDisk(monkeypatch)
    brush = Brush()
    let_go = asyncio.Event()

    async def paint(work: Work[Paint]) -> dict[str, str]:
        try:
            return await brush.paint(work)
        finally:
            let_go.set()

    jobs = await start_jobs(Painting(paint))
    asked = await jobs.submit("test.paint", WALL, owner="maria")
    waiting = await jobs.submit("test.paint", Paint(what="door"), owner="maria")
    await brush.begun.wait()
    disk.full = True
    for name in (asked.id, waiting.id):
        with pytest.raises(ProblemError):
            await jobs.cancel(name, by="paul")
    await let_go.wait()
    assert jobs.get(waiting.id).state == "queued"
    disk.full = False
    assert (await ended(jobs, asked)).state == "cancelled"
    await jobs.cancel(waiting.id, by="paul")
    assert (await ended(jobs, waiting)).state == "cancelled"
