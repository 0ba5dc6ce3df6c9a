"""The journal: what is written is there for the next process, and nothing is done twice."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from agent.protocol.deployments import ApplyRequest
from agent.protocol.measures import Replay
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Workload
from console.rollouts.effects import counted, going_back, tried_again
from console.rollouts.journal import Journal, journal_folder
from console.rollouts.journal_file import FILE, transaction
from console.rollouts.judging.analysis import Analysis
from console.rollouts.judging.judge import Finding
from console.rollouts.judging.looks import ConditionLooks, NodeLooks
from console.rollouts.locks import locked, steering_lock
from console.rollouts.record import (
    Event,
    Judged,
    KitFile,
    Rollout,
    RolloutNode,
    Stage,
    Wish,
)
from console.rollouts.steering import Steering
from console.rollouts.strategy import Strategy
from console.rollouts.wishes import why_not

USER, GROUP = 61_234, 61_240  # of nobody


def made(rollout_id: str, *names: str) -> Rollout:
    return Rollout(
        id=rollout_id,
        release="app",
        version="0" * 12,
        file="app.yaml",
        owner="maria",
        created_at=1.0,
        strategy=Strategy(),
        nodes=[RolloutNode(name=name, wave=0) for name in names],
    )


def request(image: str) -> ApplyRequest:
    return ApplyRequest(release="app", workloads=[Workload(name="web", image=image)])


def test_what_is_written_is_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    journal.plan(made("aa", "n1", "n2"), {"n1": request("a:1"), "n2": request("a:2")})
    again = Journal(tmp_path / "state")
    assert again.load("aa").state == "planned"
    assert again.request("aa", "n2") == request("a:2")
    rollout = again.begin("aa", by="maria")
    rollout.nodes[0].stage = "applying"
    journal.wish("aa", "pause", by="jo")
    (asked,) = again.wishes("aa")
    assert (asked.wish, asked.by) == ("pause", "jo")
    again.save(rollout, [Event(at=2.0, by="jo", what="paused")], [asked])
    assert list(journal.wishes("aa")) == []
    assert journal.load("aa").nodes[0].stage == "applying"
    events = journal.events("aa")
    assert [event.what for _, event in events] == ["planned", "running", "paused"]
    assert journal.events("aa", after=events[1][0]) == events[2:]
    assert [each.id for each in journal.rollouts()] == ["aa"]


def test_what_is_replayed_is_written_once(tmp_path: Path) -> None:
    """Its bodies are in no record, which is written again and again; nodes get them."""
    body = b"\xff\x00image" * 1000
    replays = {"web": Replay(port=80, method="POST", body=body), "db": Replay(port=5432)}
    planned = made("aa", "n1")
    planned.strategy = Strategy(analysis=Analysis(replays=replays))
    journal = Journal(tmp_path)
    journal.plan(planned, {})
    assert planned.strategy.analysis.replays == replays, "it stays as it was"
    journal.begin("aa", by="maria")
    rollout = journal.whole("aa")
    assert rollout.strategy == planned.strategy
    for state in ("paused", "running"):
        rollout.state = state
        journal.save(rollout)
    assert len(msgspec.json.encode(journal.load("aa"))) < 5000
    again = journal.whole("aa")
    assert (again.state, again.strategy.analysis.replays) == ("running", replays)
    assert {each.id for each in journal.rollouts()} == {"aa"}

    # A record of before has them in it: from the next time that it is written on, it has not.
    inside = msgspec.json.encode(planned).decode()
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("DELETE FROM replays")
        connection.execute("UPDATE rollouts SET record = ?", (inside,))
    journal.save(journal.whole("aa"))
    assert len(msgspec.json.encode(journal.load("aa"))) < 5000
    assert journal.whole("aa").strategy.analysis.replays == replays


def test_one_release_at_a_time_on_a_node(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("aa", "n1", "n2"), {})
    journal.plan(made("bb", "n2", "n3"), {})
    journal.plan(made("cc", "n3"), {})
    first = journal.begin("aa", by="maria")
    with pytest.raises(ProblemError, match="n2: rollout aa") as raised:
        journal.begin("bb", by="jo")
    assert raised.value.code == "rollout.node_held"
    assert journal.load("bb").state == "planned"
    assert journal.begin("cc", by="jo").state == "running"
    first.state = "aborted"
    journal.save(first)
    with pytest.raises(ProblemError, match="rollout cc"):
        journal.begin("bb", by="jo")
    with pytest.raises(ProblemError, match="started before"):
        journal.begin("cc", by="jo")


def test_what_is_not_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for ask in (journal.load, lambda name: journal.begin(name, by="x"),
                lambda name: journal.wish(name, "abort", by="x")):  # fmt: skip
        with pytest.raises(ProblemError) as raised:
            ask("aa")
        assert raised.value.code == "rollout.not_found"


def test_the_second_on_a_node_is_refused_when_it_is_planned(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("aa", "n1", "n2"), {})
    journal.begin("aa", by="maria")
    with pytest.raises(ProblemError, match=r"n2: rollout aa .app. is running there") as raised:
        journal.plan(made("bb", "n2", "n3"), {"n2": request("a:1")})
    assert raised.value.code == "rollout.node_held"
    assert "roost rollout abort aa" in (raised.value.hint or "")
    assert [each.id for each in journal.rollouts()] == ["aa"]
    with pytest.raises(ProblemError):
        journal.request("bb", "n2")  # nothing of it was kept
    journal.plan(made("cc", "n3"), {})


def test_only_one_of_many_that_begin_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    names = [f"r{number}" for number in range(8)]
    for name in names:
        journal.plan(made(name, "n1"), {})

    def begin(name: str) -> str:
        try:
            return Journal(tmp_path).begin(name, by="maria").state
        except ProblemError as problem:
            return problem.code

    with ThreadPoolExecutor(8) as pool:
        found = sorted(pool.map(begin, names))
    assert found == ["rollout.node_held"] * 7 + ["running"]


def test_one_that_stands_holds_what_catches_up_and_gives_the_rest_to_a_newer_one(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("aa", "n1", "n2", "n3"), {})
    first = journal.begin("aa", by="maria")
    first.state, first.stands_until = "done", 1e12
    stages: tuple[Stage, ...] = ("done", "offline", "preparing")
    for node, stage in zip(first.nodes, stages, strict=True):
        node.stage = stage
    journal.save(first)
    with pytest.raises(ProblemError, match=r"n3: rollout aa .app. is done there"):
        journal.plan(made("bb", "n2", "n3"), {})
    journal.plan(made("cc", "n1", "n2"), {})
    assert journal.superseded("aa") == {}
    journal.begin("cc", by="jo")
    assert journal.superseded("aa") == {"n1": "cc", "n2": "cc"}
    assert journal.superseded("cc") == {}


@pytest.mark.parametrize("wish", ["undo", "undo-at-once", "retry"])
def test_an_ended_one_begins_nothing_where_another_is_under_way(tmp_path: Path, wish: Wish) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("aa", "n1"), {})
    first = journal.begin("aa", by="maria")
    first.state, first.nodes[0].stage = "done", "done"
    journal.save(first)
    journal.plan(made("bb", "n1"), {})
    journal.plan(made("cc", "n1"), {})
    second = journal.begin("bb", by="jo")
    with pytest.raises(ProblemError, match="n1: rollout bb") as raised:
        journal.wish("aa", wish, by="maria")
    assert raised.value.code == "rollout.node_held"
    assert list(journal.wishes("aa")) == []
    second.state, second.nodes[0].stage = "done", "done"
    journal.save(second)
    journal.wish("aa", wish, by="maria")
    # From now on it holds the node, also before a runner has taken the wish.
    with pytest.raises(ProblemError, match="n1: rollout aa"):
        journal.begin("cc", by="jo")


def test_what_a_newer_one_has_is_left_alone_by_undo_and_retry(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("bb", "n1", "n2", "n3", "n4"), {})  # planned first, begun last
    journal.plan(made("aa", "n1", "n2", "n3", "n4"), {})
    ended(journal, journal.begin("aa", by="maria"), "done", "reverted", "done", "offline")
    newer = journal.begin("bb", by="jo")
    ended(journal, newer, "done", "done", "reverted", "done")
    first = journal.load("aa")
    assert [each.newer for each in first.nodes] == ["bb", "bb", None, "bb"]
    assert [each.newer for each in journal.load("bb").nodes] == [None] * 4
    assert [each.newer for each in journal.rollouts()[0].nodes] == ["bb", "bb", None, "bb"]
    assert journal.newer("aa") == dict.fromkeys(("n1", "n2", "n4"), "bb")
    assert why_not(first, "retry", "maria") == (
        "rollout bb came after it on what is left; plan the release anew"
    )
    assert going_back(first, "undo") == {"n3"}
    assert [*counted(first, "undo")] == [
        "1 node that is done goes back, at most 1 at a time",
        "1 node that a newer rollout has is left alone",
    ]
    steering = Steering(first, list[Event]().append)
    assert steering.wish("undo", "maria", 5.0) is None
    steering.step(5.0)
    assert [each.stage for each in first.nodes] == ["skipped", "reverted", "reverting", "offline"]
    newer.state = "undone"
    ended(journal, newer, "reverted", "reverted", "reverted", "skipped")
    assert tried_again(journal.load("aa")) == {"n2", "n4"}  # nothing newer is there any more


def test_other_releases_and_agents_are_not_newer(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("aa", "n1"), {})
    ended(journal, journal.begin("aa", by="maria"), "reverted")
    kit = KitFile(path="k", arch="amd64", id="i", version="2", size_bytes=1, sha256="0" * 64)
    for other in (
        msgspec.structs.replace(made("bb", "n1"), release="other"),
        msgspec.structs.replace(made("cc", "n1"), kits=[kit]),
    ):
        journal.plan(other, {})
        ended(journal, journal.begin(other.id, by="maria"), "done")
    assert tried_again(journal.load("aa")) == {"n1"}


def ended(journal: Journal, rollout: Rollout, *stages: Stage) -> None:
    """It is over, with its nodes so."""
    rollout.state = "done"
    for node, stage in zip(rollout.nodes, stages, strict=True):
        node.stage, node.deployment = stage, "d1"
    journal.save(rollout)


def test_looks_at_nodes_are_kept_beside_the_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("aa", "n1", "n2"), {})
    rollout = journal.begin("aa", by="maria")
    looked = Judged(
        deployment="d1",
        at=5.0,
        soaked=3.5,
        outcome="wait",
        findings=[Finding(key="web/restarts", outcome="wait", words="none yet")],
        looks=NodeLooks(conditions={"web/restarts": ConditionLooks(since=1.0)}),
    )
    journal.save(rollout, judged={"n1": looked})
    journal.save(rollout)
    assert Journal(tmp_path).judged("aa") == {"n1": looked}
    assert journal.judged("bb") == {}


def test_a_journal_that_somebody_locks(tmp_path: Path) -> None:
    journal = Journal(tmp_path, busy_seconds=0.05)
    journal.plan(made("aa", "n1"), {})
    rollout = journal.begin("aa", by="maria")
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        assert journal.load("aa").state == "running"  # who reads is not kept waiting
        rollout.state = "paused"
        with pytest.raises(ProblemError, match="locked") as raised:
            journal.save(rollout)
        assert raised.value.code == "rollout.journal"
        other.execute("ROLLBACK")
    assert journal.load("aa").state == "running"
    journal.save(rollout)
    assert journal.load("aa").state == "paused"


def change(folder: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / FILE)) as other, other:
        for statement in statements:
            other.execute(statement)


def test_who_writes_keeps_others_from_reading_what_they_would_write_over(tmp_path: Path) -> None:
    with transaction(tmp_path, write=True):
        other = transaction(tmp_path, write=True, busy_seconds=0.05)
        with pytest.raises(ProblemError, match="locked"), other:
            pass
        with transaction(tmp_path, write=False, busy_seconds=0.05):
            pass


def test_a_record_that_was_damaged_is_said(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("aa", "n1"), {})
    change(tmp_path, """UPDATE rollouts SET record = '{"id": 5'""")
    with pytest.raises(ProblemError) as raised:
        journal.load("aa")
    assert raised.value.code == "rollout.journal_broken"


def test_an_older_journal_gets_what_is_new(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("aa", "n1"), {})
    change(tmp_path, "DROP TABLE judged", "DROP TABLE superseded", "PRAGMA user_version = 1")
    assert journal.judged("aa") == {}
    assert journal.load("aa").id == "aa"


def test_a_newer_journal_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.plan(made("aa", "n1"), {})
    change(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(ProblemError, match="newer Roost"):
        journal.load("aa")


def test_a_groups_folder_is_for_the_whole_group(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    shared.chmod(0o2770)
    for folder in (shared, own):
        Journal(folder).plan(made("aa", "n1"), {})
        with steering_lock(folder, "aa"):
            pass
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in shared.iterdir()}
    assert modes == {FILE: 0o660, "aa.lock": 0o660}
    assert all(not path.stat().st_mode & 0o020 for path in own.iterdir())


@pytest.mark.real("filesystem")
def test_two_people_of_one_group_use_one_journal(make_short_folder: Callable[[], Path]) -> None:
    """They are two users of this machine: what one wishes is not the other's wish."""
    folder = make_short_folder()
    folder.chmod(0o755)
    shared = folder / "state"
    shared.mkdir()
    os.chown(shared, 0, GROUP)
    shared.chmod(0o2770)
    journal = Journal(shared)
    journal.plan(made("aa", "n1"), {})
    journal.begin("aa", by="maria")

    def wish(user: int, group: int) -> str:
        ids = map(str, (user, group))
        words = ["-m", "tests.console.rollouts.other_person", str(shared), "aa", "promote", *ids]
        return subprocess.run(
            [sys.executable, *words], check=True, capture_output=True, text=True, timeout=50
        ).stdout

    with steering_lock(shared, "aa"):
        assert wish(USER, GROUP) == f"{USER} True"
    assert wish(USER + 1, GROUP) == f"{USER + 1} False"
    assert wish(USER, GROUP + 1) == "rollout.journal"
    assert [asked.by.partition("@")[0] for asked in journal.wishes("aa")] == [
        str(USER),
        str(USER + 1),
    ]


def test_a_journal_that_is_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(ProblemError, match="not a database") as raised:
        Journal(tmp_path).rollouts()
    assert raised.value.code == "rollout.journal_broken"
    assert (tmp_path / FILE).read_bytes() == b"no database at all" * 100


def test_only_one_steers(tmp_path: Path) -> None:
    assert not locked(tmp_path, "aa")
    with steering_lock(tmp_path, "aa"):
        assert locked(tmp_path, "aa")
        assert not locked(tmp_path, "bb")
        with pytest.raises(ProblemError) as raised, steering_lock(tmp_path, "aa"):
            pass
        assert raised.value.code == "rollout.steered"
    assert not locked(tmp_path, "aa")


def test_who_looks_keeps_nobody_from_steering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = os.open(tmp_path / "aa.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    assert not locked(tmp_path, "aa"), "two look at once"
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        fcntl.flock(looking, fcntl.LOCK_UN)

    monkeypatch.setattr("console.rollouts.locks.time.sleep", sleep)
    with steering_lock(tmp_path, "aa"):
        assert locked(tmp_path, "aa")
    assert len(slept) == 1
    os.close(looking)


def test_where_it_lies(tmp_path: Path) -> None:
    assert journal_folder({"ROOST_STATE": "/x"}) == Path("/x")
    private = journal_folder({"XDG_STATE_HOME": str(tmp_path)})
    assert private in (tmp_path / "roost", Path("/var/lib/roost-console"))
