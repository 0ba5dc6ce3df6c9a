"""One process steers all that is open in a journal."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import console.rollouts
from agent.protocol.problems import ProblemError
from console.rollouts.journal import Journal
from console.rollouts.locks import steering_lock
from console.rollouts.notices import Target
from console.rollouts.record import Rollout, RolloutNode
from console.rollouts.strategy import Strategy
from console.rollouts.supervisor import Supervisor, supervising, supervision

pytestmark = pytest.mark.timeout(60)

ME, OTHER = "roost@host", "maria@host"
UNIT = Path(console.rollouts.__file__).with_name("roost-rollouts.service")


def planned(journal: Journal, name: str, *, notify: tuple[Target, ...] = ()) -> Rollout:
    rollout = Rollout(
        id=name,
        release="app",
        version="0" * 12,
        file="app.yaml",
        owner="maria",
        created_at=time.time(),
        strategy=Strategy(notify=notify),
        nodes=[RolloutNode(name=f"cam-{name}", wave=0)],
    )
    journal.plan(rollout, {})
    return rollout


def begun(journal: Journal, name: str, *, by: str = ME) -> Rollout:
    planned(journal, name)
    return journal.begin(name, by=by)


class Steered:
    """What was steered; it goes on until `ends` has it, and then is done in the journal."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.begun: list[str] = []
        self.under_way: set[str] = set()
        self.ends: set[str] = set()

    async def __call__(self, rollout: Rollout) -> None:
        self.begun.append(rollout.id)
        self.under_way.add(rollout.id)
        try:
            while rollout.id not in self.ends:  # noqa: ASYNC110 - as good
                await asyncio.sleep(0.01)
        finally:
            self.under_way.discard(rollout.id)
        rollout.state = "done"
        await asyncio.to_thread(self.journal.save, rollout)


@asynccontextmanager
async def supervised(steered: Steered, **options: float) -> AsyncIterator[None]:
    supervisor = Supervisor(steered.journal, steered, user=ME, look_seconds=0.01, **options)
    task = asyncio.create_task(supervisor.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - it is on disk
        await asyncio.sleep(0.01)


async def test_several_at_once_and_those_to_come(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for name in ("a", "b"):
        begun(journal, name)
    planned(journal, "never-started")
    steered = Steered(journal)
    async with supervised(steered):
        await until(lambda: steered.under_way == {"a", "b"})
        begun(journal, "c")
        await until(lambda: steered.under_way == {"a", "b", "c"})
        steered.ends |= {"a", "b", "c"}
        await until(lambda: journal.to_steer() == set())
    assert sorted(steered.begun) == ["a", "b", "c"]


async def test_what_another_process_steers_is_left_to_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    begun(journal, "a")
    begun(journal, "b")
    steered = Steered(journal)
    with steering_lock(tmp_path, "a"):
        async with supervised(steered):
            await until(lambda: steered.under_way == {"b"})
            assert steered.begun == ["b"]
    # It was killed: the kernel has freed its lock.
    async with supervised(steered):
        await until(lambda: steered.under_way == {"a", "b"})


async def test_somebody_else_s_runner_may_begin_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    begun(journal, "a", by=OTHER)
    begun(journal, "b")
    steered = Steered(journal)
    async with supervised(steered, starting_seconds=1000):
        await until(lambda: steered.under_way == {"b"})
        assert steered.begun == ["b"]
    async with supervised(steered, starting_seconds=0):
        await until(lambda: steered.under_way == {"a", "b"})


async def test_somebody_else_s_wish_is_for_their_runner_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for name in ("a", "b"):
        ended = begun(journal, name)
        ended.state = ended.nodes[0].stage = "done"
        journal.save(ended)
    journal.wish("a", "undo", by=OTHER)
    journal.wish("b", "undo", by=ME)
    steered = Steered(journal)
    async with supervised(steered, starting_seconds=1000):
        await until(lambda: steered.under_way == {"b"})
        assert steered.begun == ["b"]
    async with supervised(steered, starting_seconds=0):
        await until(lambda: steered.under_way == {"a", "b"})


async def test_one_that_cannot_be_steered_keeps_no_other_one_up(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    begun(journal, "a")
    begun(journal, "b")
    tries: list[str] = []

    async def steer(rollout: Rollout) -> None:
        tries.append(rollout.id)
        if rollout.id == "a":
            raise RuntimeError("a mistake of ours")
        await asyncio.sleep(1000)

    task = asyncio.create_task(Supervisor(journal, steer, user=ME, look_seconds=0.01).run())
    await until(lambda: sorted(tries) == ["a", "b"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_owed_or_wished_after_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    planned(journal, "a", notify=(Target(command=("/bin/true",), on=("started",)),))
    rollout = journal.begin("a", by=ME)
    rollout.state = "done"
    journal.save(rollout)
    assert journal.to_steer() == {"a"}
    ended = begun(journal, "b")
    ended.state = "done"
    journal.save(ended)
    assert journal.to_steer() == {"a"}
    journal.wish("b", "undo", by="maria")
    assert journal.to_steer() == {"a", "b"}


def test_there_is_one_supervisor(tmp_path: Path) -> None:
    assert supervision(tmp_path) is None
    with supervising(tmp_path, ME):
        there = supervision(tmp_path)
        assert there is not None
        assert (there.pid, there.user, there.uid) == (os.getpid(), ME, os.getuid())
        with (
            pytest.raises(ProblemError, match="another process steers all"),
            supervising(tmp_path, OTHER),
        ):
            pass
        assert supervision(tmp_path) is not None
    assert supervision(tmp_path) is None


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_the_unit_is_one_that_systemd_takes() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", UNIT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_unit_starts_is_a_command_of_ours() -> None:
    (line,) = [line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart=")]
    assert line.endswith("roost --fleet /etc/roost/fleet.yaml rollout runner --all")
