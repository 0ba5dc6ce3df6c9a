"""`roost metrics`: nodes that are away, drift, rollouts, as Prometheus reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.rollouts.journal import Journal
from tests.agent.http.test_exposition import parse
from tests.console.cli.commands import Done, roost
from tests.console.tui.fake_desk import make_rollout

pytestmark = pytest.mark.timeout(60)


def metrics(home: Path, fleet: Path, *more: str | Path) -> Done:
    state = {"ROOST_STATE": str(home / "journal")}
    return roost(home, "--fleet", fleet, "metrics", *more, env=state)


def test_up_and_drift(tmp_path: Path, fleet: Path) -> None:
    fleet.write_text(fleet.read_text() + 'expect: {gpu=t4: {driver: ">=535", timezone: UTC}}\n')
    done = metrics(tmp_path, fleet, "@plant-1-t4,@plant-1-offline,@plant-2-a10")
    assert (done.code, done.err) == (0, "")
    page = parse(done.out)
    found = {f"{name}{{{labels}}}": value for (name, labels), value in page.samples.items()}
    assert found['roost_node_up{node="plant-1-t4",production="false"}'] == 1
    assert found['roost_node_up{node="plant-1-offline",production="false"}'] == 0
    assert found['roost_node_up{node="plant-2-a10",production="true"}'] == 1
    assert found['roost_node_drift{node="plant-1-t4",fact="driver"}'] == 1
    assert not [key for key in found if "drift" in key and "plant-1-t4" not in key]


def test_rollouts_that_go_on(tmp_path: Path, fleet: Path) -> None:
    rollout = make_rollout(state="paused")
    (tmp_path / "journal").mkdir()
    Journal(tmp_path / "journal").plan(rollout, {})
    page = parse(metrics(tmp_path, fleet, "@plant-1-t4").out)
    names = {name: labels for name, labels in page.samples if name.startswith("roost_rollout")}
    assert 'state="paused"' in names["roost_rollout_state"]
    assert f'rollout="{rollout.id}"' in names["roost_rollout_nodes"]
    (steered,) = [v for (name, _), v in page.samples.items() if name == "roost_rollout_steered"]
    assert steered == 0


def test_a_file_is_replaced_whole_and_readable(tmp_path: Path, fleet: Path) -> None:
    file = tmp_path / "roost.prom"
    file.write_text("old")
    done = metrics(tmp_path, fleet, "@plant-1-offline,@plant-1-t4", "-o", file)
    assert (done.code, done.out) == (0, "")
    assert "2 nodes written" in done.err
    assert "1 did not answer" in done.err
    assert file.stat().st_mode & 0o777 == 0o644
    assert parse(file.read_text())
    assert [each.name for each in tmp_path.glob(".roost*")] == []
    failed = metrics(tmp_path, fleet, "@plant-1-t4", "-o", tmp_path / "no" / "x.prom")
    assert failed.code != 0
    assert "No such file" in failed.err
