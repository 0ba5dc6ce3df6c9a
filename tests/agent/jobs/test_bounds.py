"""What keeps the database small: logs, and jobs that are forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.jobs import job_log, retention
from agent.jobs.job_log import LINE_CHARACTERS
from agent.jobs.job_store import StoredJob
from agent.jobs.retention import KEPT_AT_ANY_AGE, KEPT_JOBS, KEPT_SECONDS, to_forget
from agent.jobs.work import Work
from agent.protocol.jobs import Job, JobState
from agent.protocol.problems import ProblemError
from tests.agent.jobs.conftest import StartJobs
from tests.agent.jobs.kinds import Brush, Paint, Painting, ended
from tests.agent.jobs.on_disk import jobs_on_disk, lines_on_disk

WALL = Paint(what="wall")


async def test_a_log_keeps_its_newest_lines(
    start_jobs: StartJobs, monkeypatch: pytest.MonkeyPatch, database_file: Path
) -> None:
    monkeypatch.setattr(job_log, "KEPT_LINES", 10)

    async def talk(work: Work[Paint]) -> dict[str, str]:
        for number in range(1, 26):
            work.log(f"line {number}")
        await asyncio.to_thread(work.log, "x" * (LINE_CHARACTERS + 1))
        return {}

    jobs = await start_jobs(Painting(talk))
    job = await ended(jobs, await jobs.submit("test.paint", WALL, owner="maria"))
    lines = [line async for batch in jobs.log(job.id) for line in batch]
    assert [line.number for line in lines] == list(range(17, 27))
    assert lines[0].text == "line 17"
    assert lines[-1].text == "x" * LINE_CHARACTERS + "..."
    assert lines_on_disk(database_file) == 10
    assert [line.number async for batch in jobs.log(job.id, after=24) for line in batch] == [25, 26]


async def test_a_follower_sees_each_line_once_until_the_end(start_jobs: StartJobs) -> None:
    brush = Brush()

    async def talk(work: Work[Paint]) -> dict[str, str]:
        for number in range(1500):
            work.log(str(number))
        await brush.paint(work)
        work.log("the end")
        return {}

    jobs = await start_jobs(Painting(talk))
    job = await jobs.submit("test.paint", WALL, owner="maria")
    seen: list[str] = []
    async for batch in jobs.log(job.id):
        seen += [line.text for line in batch]
        if len(seen) == 1500:
            brush.enough.set()
    assert seen == [*map(str, range(1500)), "the end"]
    assert jobs.get(job.id).state == "succeeded"


async def test_a_log_can_be_followed_before_the_job_begins(start_jobs: StartJobs) -> None:
    brush = Brush()

    async def talk(work: Work[Paint]) -> dict[str, str]:
        await brush.paint(work)
        work.log(work.request.what)
        return {}

    jobs = await start_jobs(Painting(talk))
    await jobs.submit("test.paint", WALL, owner="maria")
    waiting = await jobs.submit("test.paint", Paint(what="door"), owner="maria")
    batches = jobs.log(waiting.id)
    assert await anext(batches) == []
    brush.enough.set()
    assert [line.text async for batch in batches for line in batch] == ["door"]


async def test_old_jobs_are_forgotten_with_their_keys_and_logs(
    start_jobs: StartJobs, monkeypatch: pytest.MonkeyPatch, database_file: Path
) -> None:
    monkeypatch.setattr(retention, "KEPT_JOBS", 3)

    async def talk(work: Work[Paint]) -> dict[str, str]:
        work.log("one line")
        return {}

    jobs = await start_jobs(Painting(talk))
    made = []
    for number in range(6):
        request = Paint(what=str(number))
        made.append(await jobs.submit("test.paint", request, owner="m", key=str(number)))
        await ended(jobs, made[-1])
    # They go when the next one comes.
    assert [job.subject for job in jobs.newest()] == ["5", "4", "3", "2"]
    assert [job.subject for job in jobs_on_disk(database_file)] == ["2", "3", "4", "5"]
    assert lines_on_disk(database_file) == 4
    with pytest.raises(ProblemError) as caught:
        jobs.get(made[0].id)
    assert caught.value.code == "job.not_found"
    again = await jobs.submit("test.paint", Paint(what="other"), owner="m", key="0")
    assert again.id != made[0].id
    await ended(jobs, again)


def stored(number: int, *, state: JobState = "succeeded", at: float, size: int = 1) -> StoredJob:
    job = Job(
        id=str(number), kind="k", subject="s", state=state, owner="o", created_at=at, ended_at=at
    )
    return StoredJob(job=job, request_bytes=size)


def test_jobs_go_by_number_age_and_size() -> None:
    many = [stored(number, at=0) for number in range(KEPT_JOBS + 5)]
    assert to_forget(many, 0) == ["4", "3", "2", "1", "0"]
    old = [stored(number, at=0) for number in range(KEPT_AT_ANY_AGE + 1)]
    assert to_forget(old, KEPT_SECONDS) == []
    assert to_forget(old, KEPT_SECONDS + 1) == ["0"]
    half = retention.KEPT_REQUEST_BYTES // 2
    large = [stored(number, at=0, size=half) for number in range(3)]
    assert to_forget(large, 0) == ["0"]


def test_a_job_that_is_under_way_stays_however_old() -> None:
    many = [stored(number, at=0, state="running") for number in range(KEPT_JOBS + 5)]
    assert to_forget(many, 10 * KEPT_SECONDS) == []
