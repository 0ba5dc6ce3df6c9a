"""Jobs that are held: none begins, and those that run are told."""

from __future__ import annotations

from tests.agent.jobs.conftest import StartJobs
from tests.agent.jobs.kinds import Brush, Paint, Painting, ended


class Lasting(Painting):
    """One that goes on under another agent."""

    name = "test.lasting"
    resumable = True


async def test_none_begins_while_they_are_held(start_jobs: StartJobs) -> None:
    jobs = await start_jobs(Painting())
    jobs.hold("waits: somebody wants it")
    job = await jobs.submit("test.paint", Paint(what="wall"), owner="maria")
    assert (job.state, job.reason) == ("queued", "waits: somebody wants it")
    jobs.hold(None)
    assert (await ended(jobs, job)).state == "succeeded"


async def test_what_runs_is_told_by_whether_it_could_go_on(start_jobs: StartJobs) -> None:
    short, lasting = Brush(), Brush()
    jobs = await start_jobs(Painting(short.paint), Lasting(lasting.paint))
    first = await jobs.submit("test.paint", Paint(what="wall"), owner="maria")
    second = await jobs.submit("test.lasting", Paint(what="roof"), owner="maria")
    await short.begun.wait()
    await lasting.begun.wait()

    def unfinished(*, but: str, resumable: bool) -> list[str]:
        return [each.id for each in jobs.unfinished(but=but, resumable=resumable)]

    assert unfinished(but="", resumable=True) == [first.id, second.id]
    assert unfinished(but="", resumable=False) == [first.id]
    assert unfinished(but=first.id, resumable=False) == []
    short.enough.set()
    lasting.enough.set()
    assert (await ended(jobs, first)).state == "succeeded"
    assert (await ended(jobs, second)).state == "succeeded"
