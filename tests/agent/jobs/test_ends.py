"""How jobs end that do not end by themselves: cancelled, too late, or left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.jobs.work import Work
from agent.protocol.problems import ProblemError
from tests.agent.jobs.conftest import StartJobs
from tests.agent.jobs.kinds import Brush, Paint, Painting, ended
from tests.agent.jobs.on_disk import jobs_on_disk
from tests.waiting import until

WALL = Paint(what="wall")


async def test_a_cancel_lets_the_work_put_things_in_order(
    start_jobs: StartJobs, database_file: Path
) -> None:
    brush = Brush()
    washed = asyncio.Event()
    seen: list[bool] = []

    async def paint(work: Work[Paint]) -> dict[str, str]:
        try:
            return await brush.paint(work)
        finally:
            seen.append(work.cancelled)
            await washed.wait()
            work.log("the brush is clean")

    jobs = await start_jobs(Painting(paint))
    asked = await jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    job = await jobs.cancel(asked.id, by="paul")
    assert (job.state, job.cancelling) == ("running", True)
    assert jobs_on_disk(database_file)[0].cancelling
    await jobs.cancel(asked.id, by="someone else")  # once is enough: it does not disturb
    washed.set()
    job = await ended(jobs, asked)
    assert (job.state, job.reason, job.problem) == ("cancelled", "cancelled by paul", None)
    lines = [line.text async for batch in jobs.log(job.id) for line in batch]
    assert lines == ["cancelled by paul", "the brush is clean"]
    assert seen == [True]


async def test_work_that_does_not_let_go_is_left_behind_and_blocks_nobody(
    start_jobs: StartJobs, caplog: pytest.LogCaptureFixture
) -> None:
    brush = Brush()
    after: list[str] = []

    async def paint(work: Work[Paint]) -> dict[str, str]:
        if work.request.colour == "blue":
            return {}
        brush.begun.set()
        while not brush.enough.is_set():
            try:
                await brush.enough.wait()
            except asyncio.CancelledError:
                after.append("cancelled")
        try:
            work.log("still at work")
        except asyncio.CancelledError:
            after.append("told at last")
            raise
        return {}

    kind = Painting(paint, locks=True)
    kind.cancel_seconds = 0.05
    jobs = await start_jobs(kind)
    stuck = await jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    blue = await jobs.submit("test.paint", Paint(what="wall", colour="blue"), owner="paul")
    await jobs.cancel(stuck.id, by="paul")
    job = await ended(jobs, stuck)
    assert job.state == "cancelled"
    assert job.reason is not None
    assert "may still be at work" in job.reason
    assert (await ended(jobs, blue)).state == "succeeded"
    brush.enough.set()
    while "told at last" not in after:  # noqa: ASYNC110 - as good
        await asyncio.sleep(0)
    assert after == ["cancelled", "cancelled", "told at last"]
    assert jobs.get(stuck.id) == job
    assert "may still be at work" in caplog.text


async def test_a_queued_job_is_cancelled_at_once(start_jobs: StartJobs) -> None:
    brush = Brush()
    kind = Painting(brush.paint)
    jobs = await start_jobs(kind)
    await jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    waiting = await jobs.submit("test.paint", Paint(what="door"), owner="maria")
    job = await jobs.cancel(waiting.id, by="paul")
    assert (job.state, job.reason) == ("cancelled", "cancelled by paul before it began")
    brush.enough.set()
    await ended(jobs, jobs.newest()[1])
    assert kind.began == ["wall"]
    await until(lambda: kind.over == [("door", "cancelled"), ("wall", "succeeded")])


async def test_what_has_ended_cannot_be_cancelled(start_jobs: StartJobs) -> None:
    jobs = await start_jobs(Painting())
    job = await ended(jobs, await jobs.submit("test.paint", WALL, owner="maria"))
    with pytest.raises(ProblemError) as caught:
        await jobs.cancel(job.id, by="paul")
    assert caught.value.code == "job.ended"


async def test_a_stage_over_its_deadline_fails_the_job(start_jobs: StartJobs) -> None:
    async def paint(work: Work[Paint]) -> dict[str, str]:
        await work.stage("drying", 0.02)
        if work.request.colour == "green":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return {"colour": "swallowed"}
        await asyncio.Event().wait()
        return {}

    jobs = await start_jobs(Painting(paint))
    for colour in ("red", "green"):
        request = Paint(what="wall", colour=colour)
        job = await ended(jobs, await jobs.submit("test.paint", request, owner="maria"))
        assert (job.state, job.stage, job.result) == ("failed", "drying", {})
        assert job.problem is not None
        assert job.problem.code == "job.deadline"
        assert job.problem.params["stage"] == "drying"
        assert job.problem.hint


async def test_naming_the_stage_again_moves_its_deadline(start_jobs: StartJobs) -> None:
    async def paint(work: Work[Paint]) -> dict[str, str]:
        await work.stage("drying", 0.01)
        await work.stage("drying", 3600)
        await asyncio.sleep(0.05)
        return {}

    jobs = await start_jobs(Painting(paint))
    job = await ended(jobs, await jobs.submit("test.paint", WALL, owner="maria"))
    assert job.state == "succeeded"


async def test_a_job_that_is_done_when_it_is_cancelled_has_succeeded(start_jobs: StartJobs) -> None:
    brush = Brush()

    async def paint(work: Work[Paint]) -> dict[str, str]:
        try:
            return await brush.paint(work)
        except asyncio.CancelledError:
            return {"colour": "red, all of it"}

    jobs = await start_jobs(Painting(paint))
    asked = await jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    await jobs.cancel(asked.id, by="paul")
    job = await ended(jobs, asked)
    assert (job.state, job.reason, job.cancelling) == ("succeeded", None, False)


async def test_work_that_cancels_itself_has_failed(start_jobs: StartJobs) -> None:
    async def paint(work: Work[Paint]) -> dict[str, str]:
        raise asyncio.CancelledError

    jobs = await start_jobs(Painting(paint))
    job = await ended(jobs, await jobs.submit("test.paint", WALL, owner="maria"))
    assert job.state == "failed"
    assert job.problem is not None
    assert job.problem.code == "node.internal"
