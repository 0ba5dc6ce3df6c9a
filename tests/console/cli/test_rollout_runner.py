"""By which fleet.yaml a rollout is steered, and what is said of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.cli.rollout_runner import runner_of
from console.cli.rollout_start import let_out
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.rollouts.journal import Journal
from console.rollouts.planning import plan_rollout
from console.rollouts.record import Rollout
from console.rollouts.strategy import Strategy
from tests.console.cli.commands import write_fleet


def planned(journal: Journal, fleet: str) -> Rollout:
    rollout = plan_rollout(
        [NodeEntry(name="cam-1", address="unix:///run/cam-1")],
        {},
        Strategy(),
        release="app",
        version="0" * 12,
        file="app.yaml",
        owner="maria",
        fleet=fleet,
    )
    journal.plan(rollout, {})
    return rollout


def test_a_node_that_moved_since_the_plan_is_not_begun_with(tmp_path: Path) -> None:
    entries = [NodeEntry(name="cam-1", address="unix:///run/other")]
    setup = Setup(fleet_file=write_fleet(tmp_path / "fleet.yaml", entries))
    journal = Journal(tmp_path / "state")
    rollout = planned(journal, str(setup.fleet_file))
    with pytest.raises(ProblemError, match="cam-1 at unix:///run/other, and it was planned at"):
        let_out(setup, journal, rollout, attached=True, detach=True, yes=True)
    assert journal.load(rollout.id).state == "planned"


def test_another_fleet_yaml_than_the_plan_s_is_in_the_history_once(tmp_path: Path) -> None:
    entries = [NodeEntry(name="cam-1", address="unix:///run/other")]
    mine = Setup(fleet_file=write_fleet(tmp_path / "mine.yaml", entries))
    theirs = write_fleet(tmp_path / "theirs.yaml", entries)
    journal = Journal(tmp_path / "state")
    rollout = planned(journal, str(theirs))
    assert rollout.nodes[0].address == "unix:///run/cam-1"
    runner_of(mine, journal, rollout)
    assert [event.what for _, event in journal.events(rollout.id)] == ["planned"]
    theirs.unlink()
    for _ in range(2):
        runner_of(mine, journal, rollout)
    (_, event) = journal.events(rollout.id)[-1]
    assert len(journal.events(rollout.id)) == 2
    assert event.what == f"steered by {mine.fleet_file}"
    assert event.why.startswith(f"{theirs} cannot be read; nodes whose address is another")
