"""How an upgrade of agents goes out: by itself or as a release, and what is typed before both."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.cli.agent_upgrade import SILENT_SECONDS, _strategy
from console.rollouts.strategy import Amount, Wave

RELEASE = """
name: app
services:
  web: {image: app:1}
x-roost:
  rollout:
    waves: [{nodes: 2}]
    weights: [5, 100]
    soak: 10m
    max_unavailable: 3
    gate: approval
    window: {cron: "0 2 * * *", duration: 4h, zone: Europe/Berlin}
    confirm_within: 20m
    analysis: {conditions: [restarts]}
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    path = tmp_path / "app.yml"
    path.write_text(RELEASE)
    return path


def test_by_itself_each_node_is_watched_for_a_minute() -> None:
    found = _strategy(None, None, None, None)
    assert (found.soak, found.min_healthy, found.gate, found.window) == (60, 60, "auto", None)
    assert _strategy(None, 10.0, None, None).min_healthy == 10


def test_as_a_release_it_keeps_its_windows_and_waves_and_nothing_of_its_workloads(
    release: Path,
) -> None:
    found = _strategy(release, None, None, None)
    assert found.waves == (Wave(nodes=2),)
    assert (found.soak, found.gate, found.max_unavailable) == (600, "approval", Amount(count=3))
    assert found.window is not None
    assert found.window.zone == "Europe/Berlin"
    assert (found.weights, found.judges, found.confirm_within) == ((100,), False, SILENT_SECONDS)


def test_what_is_typed_comes_first(release: Path) -> None:
    found = _strategy(release, 5.0, Amount(count=1), "manual")
    assert (found.soak, found.gate, found.max_unavailable) == (5, "manual", Amount(count=1))


def test_what_is_wrong_in_it_is_told_with_its_line(release: Path) -> None:
    release.write_text(RELEASE.replace("soak: 10m", "sok: 10m"))
    with pytest.raises(ProblemError) as refused:
        _strategy(release, None, None, None)
    assert "app.yml" in refused.value.detail + str(refused.value.params)
