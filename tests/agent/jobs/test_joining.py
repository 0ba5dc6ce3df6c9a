"""A request that adds to a job that is under way: the same job, asked for more."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from agent.protocol.problems import ProblemError
from tests.agent.jobs.conftest import StartJobs
from tests.agent.jobs.kinds import Brush, Paint, Painting, ended

RED, BLUE = Paint(what="wall", colour="red"), Paint(what="wall", colour="blue")


class Blending(Painting):
    """The colour makes no other job of it: it has all that were asked for."""

    joins = True
    resumable = True

    def identity(self, request: Paint) -> Paint:
        return msgspec.structs.replace(request, colour="")

    def joined(self, request: Paint, joining: Paint) -> Paint:
        colours = {*request.colour.split("+"), *joining.colour.split("+")}
        return msgspec.structs.replace(request, colour="+".join(sorted(colours)))


@pytest.fixture
def brush() -> Brush:
    return Brush()


async def test_who_joins_adds_to_it_while_it_runs(start_jobs: StartJobs, brush: Brush) -> None:
    jobs = await start_jobs(Blending(brush.paint))
    first = await jobs.submit("test.paint", RED, owner="maria")
    await brush.begun.wait()
    assert jobs.asked("test.paint", BLUE).colour == "blue+red"
    assert (await jobs.submit("test.paint", BLUE, owner="paul", key="b")).id == first.id
    assert jobs.asked("test.paint", RED).colour == "blue+red"
    # One key is one request.
    with pytest.raises(ProblemError) as caught:
        await jobs.submit("test.paint", RED, owner="paul", key="b")
    assert caught.value.code == "job.key_reused"
    brush.enough.set()
    assert (await ended(jobs, first)).result == {"colour": "blue+red"}
    assert jobs.asked("test.paint", BLUE) == BLUE  # that one is over


async def test_what_was_added_outlives_the_agent(start_jobs: StartJobs, brush: Brush) -> None:
    kind = Blending(brush.paint)
    jobs = await start_jobs(kind)
    first = await jobs.submit("test.paint", RED, owner="maria")
    await brush.begun.wait()
    await jobs.submit("test.paint", BLUE, owner="paul")
    await jobs.stop()
    brush.begun = asyncio.Event()
    jobs = await start_jobs(kind)
    await brush.begun.wait()
    known = jobs.known("test.paint", RED)
    assert known is not None
    assert known.id == first.id
    brush.enough.set()
    assert (await ended(jobs, first)).result == {"colour": "blue+red"}


async def test_it_is_added_to_one_that_waits(start_jobs: StartJobs, brush: Brush) -> None:
    jobs = await start_jobs(Blending(brush.paint))
    door = await jobs.submit("test.paint", Paint(what="door"), owner="maria")
    await brush.begun.wait()
    waits = await jobs.submit("test.paint", RED, owner="maria")
    assert (await jobs.submit("test.paint", BLUE, owner="paul")).id == waits.id
    brush.enough.set()
    assert (await ended(jobs, door)).result == {"colour": "red"}
    assert (await ended(jobs, waits)).result == {"colour": "blue+red"}
