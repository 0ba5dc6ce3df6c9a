"""The journal: what is written is there for the next process, and nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Workload
from console.rollouts.journal import Journal, journal_folder
from console.rollouts.journal_file import FILE
from console.rollouts.record import Event, Rollout, RolloutNode
from console.rollouts.runner import locked, steering_lock
from console.rollouts.strategy import Strategy


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


def test_where_it_lies(tmp_path: Path) -> None:
    assert journal_folder({"ROOST_STATE": "/x"}) == Path("/x")
    private = journal_folder({"XDG_STATE_HOME": str(tmp_path)})
    assert private in (tmp_path / "roost", Path("/var/lib/roost-console"))
