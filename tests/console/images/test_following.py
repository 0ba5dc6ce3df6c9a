"""Waiting for a job's end: what it costs on the link, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.jobs.work import Work
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from console.images.following import Follower, ended_well, see_through
from tests.agent.jobs.kinds import Brush, Paint, Painting
from tests.console.images.cutting import CuttingLink, cutting_link
from tests.console.images.pushing import Hurry, client_over
from tests.console.serving import ServedAgent

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
async def link(served: ServedAgent, short_folder: Path) -> AsyncIterator[CuttingLink]:
    async with cutting_link(short_folder / "link.sock", served.socket) as link:
        yield link


async def begin(served: ServedAgent, brush: Brush, *, fails: bool = False) -> Job:
    async def paint(work: Work[Paint]) -> dict[str, str]:
        await work.stage("receiving", 60)
        await brush.paint(work)
        if fails:
            raise ProblemError("runtime.refused", "there is no paint", hint="buy some")
        work.log("dry")
        return {"wall": "red"}

    served.node.jobs.register(Painting(paint))
    return await served.node.jobs.submit("test.paint", Paint(what="wall"), owner="maria")


async def test_the_end_is_heard_at_once_with_little_on_the_link(
    served: ServedAgent, link: CuttingLink, short_folder: Path
) -> None:
    """One look at the begin, one for a burst of lines, and the end: the log's stream tells it."""
    brush = Brush()
    job = await begin(served, brush)
    await brush.begun.wait()
    client = client_over(short_folder / "link.sock")
    seen: list[Job] = []

    def hear(job: Job) -> None:
        seen.append(job)
        brush.enough.set()

    ended = await see_through(client, job, random=Hurry(), seen=hear)
    await client.close()
    assert (ended.state, ended.result) == ("succeeded", {"wall": "red"})
    assert len(seen) <= 4
    assert link.up_bytes < 2000
    assert link.down_bytes < 8000


async def test_a_cut_changes_nothing(
    served: ServedAgent, link: CuttingLink, short_folder: Path
) -> None:
    brush = Brush()
    job = await begin(served, brush)
    client = client_over(short_folder / "link.sock")
    looks = 0

    def hear(_: Job) -> None:
        nonlocal looks
        looks += 1
        if looks <= 3:
            link.cut()
        else:
            brush.enough.set()

    ended = await see_through(client, job, random=Hurry(), seen=hear)
    await client.close()
    assert ended.state == "succeeded"


async def test_a_job_that_fails_tells_its_own_problem(
    served: ServedAgent, short_folder: Path
) -> None:
    brush = Brush()
    brush.enough.set()
    job = await begin(served, brush, fails=True)
    client = client_over(served.socket)
    with pytest.raises(ProblemError) as raised:
        await see_through(client, job, random=Hurry())
    await client.close()
    assert (raised.value.code, raised.value.hint) == ("runtime.refused", "buy some")


async def test_who_waits_may_be_cancelled(served: ServedAgent) -> None:
    brush = Brush()
    job = await begin(served, brush)
    client = client_over(served.socket)
    waiting = asyncio.create_task(Follower(client, job.id).until_ended())
    await brush.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await client.close()
    brush.enough.set()


def test_a_cancelled_job_says_by_whom() -> None:
    job = Job(
        id="0",
        kind="k",
        subject="s",
        state="cancelled",
        owner="o",
        created_at=0.0,
        reason="cancelled by paul",
    )
    with pytest.raises(ProblemError) as raised:
        ended_well(job)
    assert raised.value.code == "job.unsuccessful"
    assert "cancelled by paul" in raised.value.detail
