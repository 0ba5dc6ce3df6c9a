"""The job that upgrades, its files, and what it leaves behind: without any process."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from agent.images.blobs import BlobStore
from agent.jobs.jobs import Jobs
from agent.kit import start
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.protocol.upgrades import UpgradeRequest
from agent.store.database import Database
from agent.store.trusted_keys import TrustedKeys
from agent.upgrades.kit_vouching import KitVouching
from agent.upgrades.node_upgrades import NodeUpgrades
from agent.upgrades.trial_files import Trial, TrialFiles, copy_of
from agent.upgrades.upgrade_job import UpgradePlace
from tests.agent.jobs.kinds import ended

TRIAL = Trial(id="b-2", was="a-1", job="j1", seconds=60)


class Side:
    """A node's upgrades in a folder, where `a-1` is current and `b-2` is unpacked."""

    def __init__(self, folder: Path, *, required: bool = False) -> None:
        self.root, self.database = folder / "opt", folder / "agent.db"
        for name in ("a-1", "b-2", "c-3"):
            (self.root / name).mkdir(parents=True)
            about = {"id": name, "version": "1", "arch": "any"}
            (self.root / name / "kit.json").write_text(json.dumps(about))
        self.is_current("a-1")
        program = self.root / "start"
        program.write_text(f"#!{sys.executable} -IS\n{Path(start.__file__).read_text()}")
        program.chmod(0o755)
        self.files, self.keys = TrialFiles(self.root, tried=None), TrustedKeys(None)
        self.blobs = BlobStore(folder / "blobs")
        self.jobs = Jobs(Database(folder / "jobs.db"))
        self.upgrades = NodeUpgrades(
            UpgradePlace(self.files, KitVouching(self.keys, required=required)),
            jobs=self.jobs,
            blobs=self.blobs,
            database=self.database,
        )

    def is_current(self, name: str) -> None:
        (self.root / "current").unlink(missing_ok=True)
        (self.root / "current").symlink_to(name)

    def done(self, name: str) -> None:
        """That one was tried instead of the current one, and is current."""
        trial = msgspec.structs.replace(TRIAL, id=name, was=self.files.current() or "")
        self.files.finish(msgspec.structs.replace(trial, database=str(self.database)), at=1.0)

    async def ended(self, job: Job) -> Job:
        return await ended(self.jobs, job)

    async def runs(self, name: str) -> Job:
        request = UpgradeRequest(id=name, wait_seconds=0)
        return await self.upgrades.begin(request, owner="maria", key=None)


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Side]:
    made = await asyncio.to_thread(Side, tmp_path)
    await made.jobs.start()
    yield made
    await made.jobs.stop()


def before(side: Side) -> Path:
    return Path(f"{side.database}.before")


async def test_it_hands_over_and_then_nothing_is_changed_any_more(side: Side) -> None:
    ends = asyncio.Event()
    side.upgrades.on_end(ends.set)
    job = await side.runs("b-2")
    await ends.wait()
    trial = side.files.trial()
    assert trial is not None
    assert (trial.id, trial.was, trial.job) == ("b-2", "a-1", job.id)
    with pytest.raises(ProblemError) as refused:
        side.upgrades.check_settled()
    assert refused.value.code == "upgrade.on_trial"


async def test_cancelled_before_it_hands_over_it_leaves_no_trial(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, goes_on = threading.Event(), threading.Event()
    begin = side.files.begin

    def slow(trial: Trial) -> None:
        begin(trial)
        written.set()
        goes_on.wait(20)

    monkeypatch.setattr(side.files, "begin", slow)
    job = await side.runs("b-2")
    await asyncio.to_thread(written.wait, 20)
    await side.jobs.cancel(job.id, by="maria")
    goes_on.set()
    assert (await side.ended(job)).state == "cancelled"
    assert side.files.trial() is None
    assert not side.upgrades.handed_over


async def test_a_disk_that_is_full_is_told(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_trial: Trial) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(side.files, "begin", full)
    problem = (await side.ended(await side.runs("b-2"))).problem
    assert problem is not None
    assert problem.code == "kit.write"


async def test_it_does_not_undo_what_somebody_installed_meanwhile(side: Side) -> None:
    job = await side.runs("z-9")  # not there: it fails, and had begun under a-1
    await side.ended(job)
    assert side.files.first(job.id, again=False) == "a-1"
    side.is_current("c-3")
    assert side.files.first(job.id, again=True) == "a-1"
    assert side.files.first("another", again=True) is None
    assert side.files.first("another", again=False) == "c-3"


@pytest.mark.parametrize(("installed", "outcome"), [("c-3", "upgrade.replaced"), ("b-2", None)])
async def test_a_job_that_goes_on_under_another_agent_ends(
    side: Side, monkeypatch: pytest.MonkeyPatch, installed: str, outcome: str | None
) -> None:
    first = side.files.first

    def noted(job: str, *, again: bool) -> str | None:
        first(job, again=again)
        return "a-1"  # as it was under the agent before

    monkeypatch.setattr(side.files, "first", noted)
    side.is_current(installed)
    found = await side.ended(await side.runs("b-2"))
    assert (found.problem.code if found.problem else None) == outcome
    assert found.state == ("failed" if outcome else "skipped")
    assert side.files.trial() is None


async def test_on_a_copy_that_was_put_back_by_hand_it_does_not_begin_again(
    side: Side, tmp_path: Path
) -> None:
    ends = asyncio.Event()
    side.upgrades.on_end(ends.set)
    job = await side.runs("b-2")
    await ends.wait()
    await side.jobs.stop()

    def anew() -> Jobs:
        """Uninstalled, the copy of then in its place, and installed."""
        for name in ("trial.json", "first-upgrade.json"):
            (side.root / name).unlink()
        return Jobs(Database(tmp_path / "jobs.db"))

    jobs = await asyncio.to_thread(anew)
    place = UpgradePlace(side.files, KitVouching(side.keys, required=False))
    upgrades = NodeUpgrades(place, jobs=jobs, blobs=side.blobs, database=side.database)
    await jobs.start()
    found = await ended(jobs, job)
    await jobs.stop()
    assert found.problem is not None
    assert (found.problem.code, upgrades.handed_over) == ("upgrade.replaced", False)


async def test_the_copy_of_the_database_is_that_of_the_kit_before(side: Side) -> None:
    before(side).write_text("of a-1")
    side.done("b-2")
    assert copy_of(side.database, "a-1").read_text() == "of a-1"
    side.done("c-3")  # the schema is the same
    found = await side.ended(await side.runs("a-1"))
    assert found.problem is not None
    assert (found.problem.code, side.upgrades.handed_over) == ("upgrade.schema", False)
    assert copy_of(side.database, "a-1").read_text() == "of a-1"
    (side.root / "a-1" / "kit.json").unlink()
    side.files.forget_copies(side.database)
    assert not copy_of(side.database, "a-1").exists()


@pytest.mark.parametrize("installed", [False, True])
async def test_a_copy_that_was_not_sorted_in_is_so_at_the_next_upgrade(
    side: Side, *, installed: bool
) -> None:
    side.done("b-2")
    before(side).write_text("of somebody")  # written down before, and cut short
    if installed:
        side.is_current("c-3")  # whose copy it then is nobody knows
    side.files.begin(msgspec.structs.replace(TRIAL, database=str(side.database)))
    assert not before(side).exists()
    assert copy_of(side.database, "a-1").exists() is not installed


def _fails(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


async def test_once_the_link_has_moved_it_is_done_whatever_else_fails(
    side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.upgrades.trial_files.write_whole", _fails)
    side.files.finish(TRIAL, at=1.0)
    assert side.files.current() == "b-2"
    assert "is current" in caplog.text


async def test_an_agent_on_trial_is_kept_once_it_is_up(side: Side, tmp_path: Path) -> None:
    side.files.begin(TRIAL)
    tried = TrialFiles(side.root, tried="b-2")
    upgrades = _tried(tried, tmp_path)
    about = await upgrades.confirm("b-2")
    assert (about.on_trial, about.confirmed, tried.current()) == (True, True, "a-1")
    # Another start needs nobody to confirm it again.
    upgrades = _tried(tried, tmp_path)
    await upgrades.confirmed()
    assert upgrades.on_trial
    await upgrades.up()
    assert (upgrades.on_trial, tried.current(), tried.trial()) == (False, "b-2", None)
    assert upgrades.about is not None
    assert upgrades.about.last is not None
    assert upgrades.about.last.outcome == "done"


async def test_what_cannot_start_agents_is_not_kept(
    side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side.files.begin(TRIAL)
    broken = tmp_path / "start.py"
    await asyncio.to_thread(broken.write_text, "import there_is_no_such_module\n")
    monkeypatch.setattr("agent.kit.start.__file__", str(broken))
    upgrades = _tried(TrialFiles(side.root, tried="b-2"), tmp_path)
    await upgrades.confirm("b-2")
    await upgrades.up()
    assert (upgrades.handed_over, side.files.current()) == (True, "a-1")
    trial = await asyncio.to_thread(side.files.trial)
    assert trial is not None
    assert "there_is_no_such_module" in (trial.back or "")
    assert not [each for each in side.root.iterdir() if each.name.startswith(".")]


async def test_kept_it_has_what_starts_agents_find_its_own(side: Side, tmp_path: Path) -> None:
    def older() -> bytes:
        head, _, _ = side.files.start.read_text().partition("FINDS = ")
        side.files.start.write_text(head)
        return head.splitlines()[0].encode()

    python = await asyncio.to_thread(older)
    side.files.begin(TRIAL)
    upgrades = _tried(TrialFiles(side.root, tried="b-2"), tmp_path)
    await upgrades.confirm("b-2")
    await upgrades.up()
    found = await asyncio.to_thread(side.files.start.read_bytes)
    assert found == python + b"\n" + await asyncio.to_thread(Path(start.__file__).read_bytes)


async def test_a_trial_that_somebody_ended_is_not_kept(side: Side, tmp_path: Path) -> None:
    side.files.begin(TRIAL)
    upgrades = _tried(TrialFiles(side.root, tried="b-2"), tmp_path)
    await upgrades.confirm("b-2")
    side.files.withdraw("j1")
    await upgrades.up()
    assert (upgrades.handed_over, side.files.current()) == (True, "a-1")


async def test_an_agent_that_cannot_be_kept_has_crashed(
    side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side.files.begin(TRIAL)
    upgrades = _tried(TrialFiles(side.root, tried="b-2"), tmp_path)
    await upgrades.confirm("b-2")
    real: Callable[..., None] = Path.symlink_to
    monkeypatch.setattr(Path, "symlink_to", _fails)
    with pytest.raises(OSError, match="No space"):
        await upgrades.up()
    assert (upgrades.on_trial, side.files.current()) == (True, "a-1")
    monkeypatch.setattr(Path, "symlink_to", real)
    await upgrades.up()
    assert side.files.current() == "b-2"


def _tried(files: TrialFiles, folder: Path) -> NodeUpgrades:
    place = UpgradePlace(files, KitVouching(TrustedKeys(None), required=False))
    return NodeUpgrades(place, jobs=Jobs(Database(None)), blobs=BlobStore(folder / "other"))
