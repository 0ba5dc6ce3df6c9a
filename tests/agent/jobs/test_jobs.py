"""Jobs from being asked for to their end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.jobs.jobs import Jobs
from agent.jobs.kind import SkippedError
from agent.jobs.work import Work
from agent.protocol.problems import ProblemError
from agent.store.database import Database
from tests.agent.jobs.conftest import StartJobs
from tests.agent.jobs.kinds import Brush, Paint, Painting, ended
from tests.agent.jobs.on_disk import jobs_on_disk
from tests.waiting import until

WALL = Paint(what="wall")


async def test_a_job_runs_and_has_a_result(start_jobs: StartJobs, database_file: Path) -> None:
    jobs = await start_jobs(Painting())
    asked = await jobs.submit("test.paint", WALL, owner="maria")
    assert (asked.state, asked.kind, asked.subject, asked.owner) == (
        "queued",
        "test.paint",
        "wall",
        "maria",
    )
    job = await ended(jobs, asked)
    assert (job.state, job.result, job.problem) == ("succeeded", {"colour": "red"}, None)
    assert job.started_at is not None
    assert job.ended_at is not None
    assert jobs_on_disk(database_file) == [job]


async def test_every_state_is_on_disk_before_it_shows(
    start_jobs: StartJobs, database_file: Path
) -> None:
    seen: list[tuple[str, str | None]] = []
    brush = Brush()

    def note() -> None:
        job = jobs_on_disk(database_file)[-1]
        seen.append((job.state, job.stage))

    async def look(work: Work[Paint]) -> dict[str, str]:
        if work.request.what == "wall":
            return await brush.paint(work)
        note()
        await work.stage("scraping", 60)
        note()
        return {}

    jobs = await start_jobs(Painting(look))
    await jobs.submit("test.paint", WALL, owner="maria")
    asked = await jobs.submit("test.paint", Paint(what="door"), owner="maria")
    note()
    brush.enough.set()
    await ended(jobs, asked)
    note()
    assert seen == [
        ("queued", None),
        ("running", "starting"),
        ("running", "scraping"),
        ("succeeded", "scraping"),
    ]


async def test_work_that_fails_says_why(start_jobs: StartJobs) -> None:
    async def fail(work: Work[Paint]) -> dict[str, str]:
        if work.request.colour == "mistake":
            raise KeyError("brush")
        if work.request.colour == "none":
            raise SkippedError("it is painted already")
        raise ProblemError("runtime.refused", "the wall is wet", hint="wait")

    jobs = await start_jobs(Painting(fail))
    job = await ended(jobs, await jobs.submit("test.paint", WALL, owner="m"))
    assert job.state == "failed"
    assert job.problem is not None
    assert (job.problem.code, job.problem.detail) == ("runtime.refused", "the wall is wet")
    request = Paint(what="wall", colour="mistake")
    job = await ended(jobs, await jobs.submit("test.paint", request, owner="m"))
    assert job.problem is not None
    assert (job.problem.code, "brush" in job.problem.detail) == ("node.internal", False)
    request = Paint(what="wall", colour="none")
    job = await ended(jobs, await jobs.submit("test.paint", request, owner="m"))
    assert (job.state, job.reason, job.problem) == ("skipped", "it is painted already", None)


async def test_a_key_finds_the_same_job_also_in_the_next_agent(start_jobs: StartJobs) -> None:
    kind = Painting()
    jobs = await start_jobs(kind)
    first = await ended(jobs, await jobs.submit("test.paint", WALL, owner="m", key="k"))
    again = await jobs.submit("test.paint", WALL, owner="someone else", key="k")
    assert again == first
    jobs = await start_jobs(kind)
    assert await jobs.submit("test.paint", WALL, owner="m", key="k") == first
    with pytest.raises(ProblemError) as caught:
        await jobs.submit("test.paint", Paint(what="door"), owner="m", key="k")
    assert (caught.value.code, caught.value.params["job"]) == ("job.key_reused", first.id)
    assert kind.began == ["wall"]


async def test_one_key_asked_at_once_is_one_job(start_jobs: StartJobs) -> None:
    kind = Painting()
    jobs = await start_jobs(kind)
    asked = await asyncio.gather(
        *(jobs.submit("test.paint", WALL, owner="m", key="k") for _ in range(10))
    )
    assert len({job.id for job in asked}) == 1
    await ended(jobs, asked[0])
    assert kind.began == ["wall"]


async def test_an_equal_request_joins_where_the_kind_says_so(start_jobs: StartJobs) -> None:
    brush = Brush()
    kind = Painting(brush.paint)
    kind.joins = True
    jobs = await start_jobs(kind)
    first = await jobs.submit("test.paint", WALL, owner="maria", key="a")
    second = await jobs.submit("test.paint", WALL, owner="paul", key="b")
    other = await jobs.submit("test.paint", Paint(what="door"), owner="paul")
    assert first.id == second.id != other.id
    known = jobs.known("test.paint", WALL)
    assert known is not None
    assert known.id == first.id
    brush.enough.set()
    await ended(jobs, first)
    assert jobs.known("test.paint", WALL) is None
    known = jobs.known("test.paint", WALL, key="b")
    assert known is not None
    assert known.id == first.id
    # The key goes on to mean that job; without it, and now that it has ended, it is a new one.
    assert (await jobs.submit("test.paint", WALL, owner="paul", key="b")).id == first.id
    assert (await jobs.submit("test.paint", WALL, owner="paul")).id != first.id


async def test_a_caller_that_gives_up_leaves_a_whole_job(start_jobs: StartJobs) -> None:
    jobs = await start_jobs(Painting())
    asking = asyncio.create_task(jobs.submit("test.paint", WALL, owner="m", key="k"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    (job,) = jobs.newest()
    assert (await ended(jobs, job)).state == "succeeded"
    assert (await jobs.submit("test.paint", WALL, owner="m", key="k")).id == job.id


async def test_jobs_are_found_by_the_start_of_their_id(start_jobs: StartJobs) -> None:
    jobs = await start_jobs(Painting())
    job = await ended(jobs, await jobs.submit("test.paint", WALL, owner="m"))
    assert jobs.get(job.id[:6]) == jobs.get(job.id) == job
    for name in (job.id[:3], "nothing", ""):
        with pytest.raises(ProblemError) as caught:
            jobs.get(name)
        assert caught.value.code == "job.not_found"


async def test_a_retry_is_a_new_job_with_a_parent(start_jobs: StartJobs) -> None:
    async def fail_once(work: Work[Paint]) -> dict[str, str]:
        if work.job.parent is None:
            raise ProblemError("runtime.refused", "the wall is wet", hint="wait")
        return {}

    jobs = await start_jobs(Painting(fail_once))
    failed = await ended(jobs, await jobs.submit("test.paint", WALL, owner="maria"))
    again = await jobs.retry(failed.id, owner="paul", key="r")
    assert (again.parent, again.owner, again.subject) == (failed.id, "paul", "wall")
    assert await jobs.retry(failed.id, owner="paul", key="r") != failed
    assert (await ended(jobs, again)).state == "succeeded"
    assert len(jobs.newest()) == 2
    with pytest.raises(ProblemError) as caught:
        await jobs.retry(again.id, owner="paul")
    assert caught.value.code == "job.not_retryable"


async def test_progress_is_shown_in_steps_and_never_written(
    start_jobs: StartJobs, database_file: Path
) -> None:
    brush = Brush()

    async def go(work: Work[Paint]) -> dict[str, str]:
        work.progress(123_456, 1_000_000)
        return await brush.paint(work)

    jobs = await start_jobs(Painting(go))
    asked = await jobs.submit("test.paint", WALL, owner="m")
    await brush.begun.wait()
    now = jobs.get(asked.id)
    assert (now.done, now.total, now.unit) == (123_456, 1_000_000, "bytes")
    assert now.deadline_at is not None
    record = jobs.records()[asked.id]
    assert (record["done"], record["total"]) == (120_000, 1_000_000)
    assert jobs.records()[asked.id] is record
    assert jobs_on_disk(database_file)[0].done is None
    brush.enough.set()
    await ended(jobs, asked)
    assert jobs_on_disk(database_file)[0].done == 123_456


async def test_nothing_is_taken_before_the_start() -> None:
    jobs = Jobs(Database(Path("/nowhere/agent.db")))
    jobs.register(Painting())
    with pytest.raises(ProblemError) as caught:
        await jobs.submit("test.paint", WALL, owner="m")
    assert caught.value.code == "node.not_ready"
    with pytest.raises(ValueError, match="registered already"):
        jobs.register(Painting())


async def test_a_simulated_node_has_jobs_that_cost_nothing_until_used() -> None:
    database = Database(None)
    jobs = Jobs(database)
    jobs.register(Painting())
    await jobs.start()
    assert (jobs.newest(), jobs.records()) == ([], {})
    assert database.untouched
    job = await ended(jobs, await jobs.submit("test.paint", WALL, owner="m"))
    assert job.state == "succeeded"
    await jobs.stop()
    database.close()


async def test_listeners_hear_of_each_state(start_jobs: StartJobs) -> None:
    jobs = await start_jobs(Painting())
    heard: list[str] = []
    jobs.on_change(lambda: heard.extend(job.state for job in jobs.newest()))
    job = await jobs.submit("test.paint", WALL, owner="m")
    await until(lambda: "succeeded" in heard)
    assert sorted(set(heard), key=heard.index) == ["queued", "running", "succeeded"]
    assert [each.id for each in jobs.newest(state="succeeded")] == [job.id]
    assert jobs.newest(state="failed") == []
    assert jobs.newest(limit=0) == []
