"""Which job runs when: limits of a kind, locks, and what those that wait say."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.jobs import jobs as jobs_module
from agent.jobs.locks import Held, Locks
from agent.jobs.work import Work
from agent.protocol.problems import ProblemError
from tests.agent.jobs.conftest import StartJobs
from tests.agent.jobs.kinds import Brush, Paint, Painting, ended
from tests.agent.jobs.on_disk import jobs_on_disk
from tests.waiting import until


class Brushes:
    """A brush for each thing that is painted."""

    def __init__(self) -> None:
        self.of: dict[str, Brush] = {}

    async def paint(self, work: Work[Paint]) -> dict[str, str]:
        return await self.of.setdefault(work.request.what, Brush()).paint(work)

    def enough(self, *names: str) -> None:
        for name in names:
            self.of.setdefault(name, Brush()).enough.set()


async def test_as_many_run_at_once_as_the_kind_allows_in_turn(start_jobs: StartJobs) -> None:
    brushes = Brushes()
    kind = Painting(brushes.paint)
    kind.at_once = 2
    jobs = await start_jobs(kind)
    asked = [
        await jobs.submit("test.paint", Paint(what=name), owner="maria")
        for name in ("a", "b", "c", "d")
    ]
    await until(lambda: len(kind.began) == 2)
    waiting = jobs.get(asked[2].id)
    assert waiting.state == "queued"
    assert waiting.reason == f"waits for test.paint of a (job {asked[0].id}, by maria)"
    brushes.enough("b")
    await until(lambda: len(kind.began) == 3)
    assert kind.began == ["a", "b", "c"]
    brushes.enough("a", "c", "d")
    assert [(await ended(jobs, job)).state for job in asked] == ["succeeded"] * 4


async def test_who_wants_what_another_has_waits_and_names_it(
    start_jobs: StartJobs, database_file: Path
) -> None:
    brushes = Brushes()
    kind = Painting(brushes.paint, locks=True)
    kind.at_once = None
    jobs = await start_jobs(kind)
    first = await jobs.submit("test.paint", Paint(what="wall"), owner="maria")
    second = await jobs.submit("test.paint", Paint(what="wall", colour="blue"), owner="paul")
    third = await jobs.submit("test.paint", Paint(what="wall", colour="green"), owner="ann")
    other = await jobs.submit("test.paint", Paint(what="door"), owner="paul")
    await until(lambda: len(kind.began) == 2)
    assert kind.began == ["wall", "door"]
    assert jobs.get(second.id).reason == (
        f"waits: wall:wall is in use by test.paint of wall (job {first.id}, by maria)"
    )
    assert (
        jobs.get(third.id).reason == f"waits behind test.paint of wall (job {second.id}, by paul)"
    )
    assert jobs_on_disk(database_file)[1].state == "queued"
    # The one that is waited for may be cancelled: nobody waits for a lock to do that.
    await jobs.cancel(first.id, by="paul")
    await until(lambda: jobs.get(second.id).state == "running")
    assert (jobs.get(second.id).reason, jobs.get(third.id).state) == (None, "queued")
    brushes.enough("wall", "door")
    for job in (second, third, other):
        assert (await ended(jobs, job)).state == "succeeded"


async def test_a_lock_that_the_work_itself_wants_is_refused_naming_the_holder(
    start_jobs: StartJobs,
) -> None:
    brush = Brush()

    async def paint(work: Work[Paint]) -> dict[str, str]:
        async with work.lock("ladder"), work.lock("ladder", "bucket"):
            return await brush.paint(work)

    kind = Painting(paint)
    kind.at_once = None
    jobs = await start_jobs(kind)
    first = await jobs.submit("test.paint", Paint(what="wall"), owner="maria")
    await brush.begun.wait()
    second = await ended(jobs, await jobs.submit("test.paint", Paint(what="door"), owner="paul"))
    assert second.state == "failed"
    assert second.problem is not None
    assert second.problem.code == "job.locked"
    assert second.problem.params == {"key": "ladder", "job": first.id, "owner": "maria"}
    brush.enough.set()
    assert (await ended(jobs, first)).state == "succeeded"
    third = await jobs.submit("test.paint", Paint(what="door"), owner="paul")
    assert (await ended(jobs, third)).state == "succeeded"


async def test_a_full_queue_refuses(start_jobs: StartJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "QUEUED_LIMIT", 2)
    brush = Brush()
    jobs = await start_jobs(Painting(brush.paint))
    for name in ("a", "b", "c"):
        await jobs.submit("test.paint", Paint(what=name), owner="maria")
    with pytest.raises(ProblemError) as caught:
        await jobs.submit("test.paint", Paint(what="d"), owner="maria")
    assert caught.value.code == "job.queue_full"
    assert len(jobs.newest()) == 3
    brush.enough.set()


def test_keys_are_taken_all_or_none() -> None:
    locks = Locks()
    assert locks.take({"a", "b"}, "one") is None
    assert locks.take({"b", "c"}, "two") == Held("b", "one")
    assert locks.take({"c"}, "two") is None
    assert locks.take({"a"}, "one") is None
    locks.release({"a"}, "one")
    assert locks.take({"a"}, "two") == Held("a", "one")
    locks.release({"a", "c"}, "one")
    assert locks.take({"a"}, "two") is None
    assert locks.take({"c"}, "one") == Held("c", "two")
    locks.release_all("two")
    assert locks.take({"a", "b", "c"}, "one") is None
