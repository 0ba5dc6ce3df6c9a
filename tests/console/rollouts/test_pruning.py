"""What the journal forgets of rollouts that ended long ago, and what it never forgets."""

from __future__ import annotations

import sqlite3
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Workload
from console.rollouts import pruning
from console.rollouts.journal import Journal
from console.rollouts.journal_file import transaction
from console.rollouts.judging.judge import Finding
from console.rollouts.notice_file import owing
from console.rollouts.notices import Target
from console.rollouts.record import Event, Judged, Rollout, RolloutNode, Stage, State, Wish
from console.rollouts.strategy import Strategy
from console.rollouts.wishes import why_not

OLD = (pruning.KEEP_DAYS + 1) * 86400.0
LOOK = Judged(
    deployment="d",
    at=1.0,
    soaked=1.0,
    outcome="pass",
    findings=[Finding(key="k", outcome="pass", words="w")],
)


@pytest.fixture(autouse=True)
def keep_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each release the newest one, instead of the newest 20."""
    monkeypatch.setattr(pruning, "KEEP_EACH", 1)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def planned(
    journal: Journal,
    rollout_id: str,
    *names: str,
    age: float = 0.0,
    release: str = "app",
    strategy: Strategy | None = None,
) -> Rollout:
    """A plan that was made so many seconds ago."""
    rollout = Rollout(
        id=rollout_id,
        release=release,
        version="0" * 12,
        file="app.yaml",
        owner="maria",
        created_at=time.time() - age,
        strategy=strategy or Strategy(),
        nodes=[RolloutNode(name=name, wave=0) for name in names],
    )
    workload = Workload(name="web", image="app:1")
    requests = {name: ApplyRequest(release=release, workloads=[workload]) for name in names}
    journal.plan(rollout, requests)
    return rollout


def ended(
    journal: Journal,
    rollout_id: str,
    *names: str,
    age: float,
    stage: Stage = "done",
    state: State = "done",
    release: str = "app",
    strategy: Strategy | None = None,
) -> None:
    """One that began and ended so many seconds ago, with events, a look at each node and a wish."""
    planned(journal, rollout_id, *names, age=age, release=release, strategy=strategy)
    rollout = journal.begin(rollout_id, by="maria")
    journal.wish(rollout_id, "pause", by="otto")
    rollout.state, rollout.since = state, time.time() - age
    for node in rollout.nodes:
        node.stage, node.since = stage, rollout.since
    at = time.time()
    events = [Event(at=at, by="runner", what=stage, node=name) for name in names]
    events.append(Event(at=at, by="otto", what=state, why="let through"))
    judged = dict.fromkeys(names, LOOK)
    journal.save(rollout, events, journal.wishes(rollout_id), judged)


def left(journal: Journal, rollout_id: str) -> dict[str, int]:
    """How many rows of each table are about it."""
    with transaction(journal.folder, write=False) as connection:
        return {
            table: connection.execute(
                f"SELECT COUNT(*) FROM {table} WHERE rollout = ?",  # noqa: S608 - a constant
                (rollout_id,),
            ).fetchone()[0]
            for table in ("requests", "judged", "wishes", "events")
        }


def test_one_that_ended_long_ago_becomes_a_summary(journal: Journal) -> None:
    ended(journal, "old", "a", "b", age=OLD)
    ended(journal, "new", "a", "b", age=0)
    assert left(journal, "old") == {"requests": 2, "judged": 2, "wishes": 1, "events": 5}
    planned(journal, "next", "a")
    assert left(journal, "old") == {"requests": 0, "judged": 0, "wishes": 0, "events": 4}
    assert left(journal, "new") == {"requests": 2, "judged": 2, "wishes": 1, "events": 5}
    found = journal.load("old")
    assert (found.state, found.counts()) == ("done", {"done": 2})
    told = [(each.by, each.what) for _, each in journal.events("old")]
    # Who did what with it as a whole is known for good.
    assert told == [
        ("maria", "planned"),
        ("maria", "running"),
        ("otto", "done"),
        ("roost", "summed up"),
    ]
    wishes: tuple[Wish, ...] = ("undo", "retry")
    for wish in wishes:
        assert "no more than a summary" in str(why_not(found, wish, "maria"))
    planned(journal, "again", "a")
    assert left(journal, "old")["events"] == 4  # once is enough


def test_what_still_runs_somewhere_keeps_all(journal: Journal) -> None:
    ended(journal, "old", "a", "b", age=OLD)
    ended(journal, "new", "a", age=0)  # b runs the old one
    planned(journal, "next", "a")
    assert left(journal, "old") == {"requests": 2, "judged": 2, "wishes": 1, "events": 5}
    assert why_not(journal.load("old"), "undo", "maria") is None
    ended(journal, "newer", "b", age=0)
    planned(journal, "then", "a")
    assert left(journal, "old")["requests"] == 0


@pytest.mark.parametrize("stage", ["applying", "canary", "reverting", "stuck", "lost", "done"])
def test_what_a_node_may_yet_go_back_to_keeps_all(journal: Journal, stage: Stage) -> None:
    ended(journal, "old", "a", age=OLD)
    planned(journal, "new", "a")
    new = journal.begin("new", by="maria")
    new.nodes[0].stage = stage
    journal.save(new)
    planned(journal, "next", "b", release="other")
    assert left(journal, "old")["requests"] == 1
    new.nodes[0].stage, new.state = "reverted", "aborted"
    journal.save(new)
    assert why_not(journal.load("old"), "undo", "maria") is None


def test_a_node_that_is_stuck_has_no_newer_one(journal: Journal) -> None:
    ended(journal, "old", "a", age=OLD, stage="stuck", state="failed")
    ended(journal, "new", "b", age=0)
    planned(journal, "next", "b")
    assert left(journal, "old")["judged"] == 1


def test_what_went_back_everywhere_is_over(journal: Journal) -> None:
    ended(journal, "old", "a", age=OLD, stage="reverted", state="failed")
    ended(journal, "new", "b", age=0)
    planned(journal, "next", "b")
    assert left(journal, "old")["judged"] == 0


def test_the_newest_of_a_release_stays_however_old(journal: Journal) -> None:
    ended(journal, "only", "a", age=9 * OLD, stage="reverted", release="other")
    ended(journal, "young", "a", "b", age=OLD / 2)
    ended(journal, "new", "a", "b", age=0)
    planned(journal, "next", "a")
    assert left(journal, "only")["judged"] == 1
    assert left(journal, "young")["judged"] == 2


def test_what_is_open_stays(journal: Journal) -> None:
    target = Target(command=("/bin/true",), on=("ended",))
    ended(journal, "owes", "a", age=OLD, strategy=Strategy(notify=(target,)))
    ended(journal, "wished", "a", age=OLD)
    journal.wish("wished", "abort", by="otto")
    ended(journal, "stands", "a", age=OLD)
    standing = journal.load("stands")
    standing.stands_until = time.time() + 1000
    journal.save(standing)
    ended(journal, "new", "a", age=0)
    planned(journal, "next", "a")
    for name in ("owes", "wished", "stands"):
        assert left(journal, name)["judged"] == 1, name


def test_notices_that_nobody_takes_keep_nothing_for_ever(journal: Journal) -> None:
    """No runner is there to give them up."""
    target = Target(command=("/bin/true",), on=("ended",))
    ended(journal, "owes", "a", age=OLD, strategy=Strategy(notify=(target,)))
    ended(journal, "new", "a", age=0, strategy=Strategy(notify=(target,)))
    with transaction(journal.folder, write=True) as connection:
        connection.execute(
            "UPDATE notices SET since = ? WHERE rollout = 'owes'", (time.time() - OLD,)
        )
    planned(journal, "next", "a")
    assert left(journal, "owes")["judged"] == 0
    told = [each.why for _, each in journal.events("owes") if each.what == "not told"]
    assert told == ["not sent any more, as nobody took them in 90 days: 1 notice"]
    assert owing(journal.folder) == {"new"}


def test_two_consoles_tell_once_what_is_not_sent(journal: Journal) -> None:
    target = Target(command=("/bin/true",), on=("ended",))
    ended(journal, "owes", "a", age=OLD, strategy=Strategy(notify=(target,)))
    with transaction(journal.folder, write=True) as connection:
        connection.execute("UPDATE notices SET since = ?", (time.time() - OLD,))
    turns: list[bool] = []

    def transact(write: bool) -> AbstractContextManager[sqlite3.Connection]:
        turns.append(write)
        if write and turns.count(True) == 1:
            pruning.prune(transact, time.time())
        return transaction(journal.folder, write=write)

    pruning.prune(transact, time.time())
    assert sum(each.what == "not told" for _, each in journal.events("owes")) == 1


@pytest.mark.parametrize("changed", ["old", "new", "wish"])
def test_what_changes_while_it_is_looked_up_stays(journal: Journal, changed: str) -> None:
    """The rollout itself, or the newer one that its node has in its stead."""
    ended(journal, "old", "a", age=OLD)
    ended(journal, "other", "b", age=OLD)
    ended(journal, "new", "a", "b", age=0)
    transactions: list[bool] = []

    def transact(write: bool) -> AbstractContextManager[sqlite3.Connection]:
        if write and True not in transactions:
            if changed == "wish":
                journal.wish("old", "abort", by="otto")
            else:
                record = journal.load(changed)
                record.nodes[0].why = "something else"
                journal.save(record)
        transactions.append(write)
        return transaction(journal.folder, write=write)

    pruning.prune(transact, time.time())
    assert transactions == [False, False, True]
    assert left(journal, "old")["judged"] == 1
    assert left(journal, "other")["judged"] == (1 if changed == "new" else 0)
    pruning.prune(transact, time.time())
    assert left(journal, "old")["judged"] == (1 if changed == "wish" else 0)


def test_others_write_in_between(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is looked up without the lock, and forgotten a few at a time."""
    monkeypatch.setattr(pruning, "KEEP_EACH", 9)
    for number in range(2 * pruning.IN_ONE_TRANSACTION):
        ended(journal, f"old-{number}", "a", age=OLD)
    ended(journal, "new", "a", age=0)
    monkeypatch.setattr(pruning, "KEEP_EACH", 1)
    transactions: list[bool] = []

    def transact(write: bool) -> AbstractContextManager[sqlite3.Connection]:
        journal.note("new", Event(at=1.0, by="runner", what="look"))
        transactions.append(write)
        return transaction(journal.folder, write=write)

    pruning.prune(transact, time.time())
    assert transactions == [False, False, True, True]
    assert sum(each.pruned_at is not None for each in journal.rollouts()) == 10


def test_plans_that_nobody_began_go_but_the_newest(journal: Journal) -> None:
    planned(journal, "old", "a", age=OLD)
    planned(journal, "older", "a", age=2 * OLD)  # by a clock that was set since
    with pytest.raises(ProblemError) as gone:
        journal.load("old")
    assert gone.value.code == "rollout.not_found"
    assert left(journal, "old") == {"requests": 0, "judged": 0, "wishes": 0, "events": 0}
    assert journal.load("older").state == "planned"


def test_old_summaries_go_at_last(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "KEEP_SUMMARIES", 1)
    for name in ("first", "second", "third"):
        ended(journal, name, "a", age=OLD)
    planned(journal, "next", "a")  # makes two summaries
    planned(journal, "then", "a")  # takes one away
    assert [each.id for each in journal.rollouts()] == ["then", "next", "third", "second"]
    assert left(journal, "first")["events"] == 0
