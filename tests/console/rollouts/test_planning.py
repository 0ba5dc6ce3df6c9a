"""What a plan freezes: nodes, waves, groups, zones."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.protocol.problems import ProblemError
from console.cli.rollout_plan_text import plan_text
from console.fleet.inventory import NodeEntry
from console.rollouts.planning import plan_rollout
from console.rollouts.record import Rollout
from console.rollouts.strategy import Amount, PerGroup, Strategy, Wave
from console.rollouts.windows import Window
from console.rollouts.words import left_out_lines

NIGHT = Window(cron="0 2 * * *", duration=3600.0)


def planned(
    strategy: Strategy,
    *entries: NodeEntry,
    zones: Mapping[str, str | None] | None = None,
) -> Rollout:
    return plan_rollout(
        entries,
        {},
        strategy,
        release="app",
        version="0" * 12,
        file="app.yaml",
        owner="maria",
        zones=zones,
    )


def entry(name: str, **labels: str) -> NodeEntry:
    return NodeEntry(name=name, address="unix:///x", labels=labels)


def test_labels_that_change_later_change_nothing() -> None:
    strategy = Strategy(
        waves=(Wave(selector="site=lab"),),
        max_unavailable_per=(PerGroup("site", Amount(count=1)),),
    )
    entries = [entry("a", site="lab", rack="1"), entry("b", site="far"), entry("c")]
    rollout = planned(strategy, *entries)
    for each in entries:
        each.labels.clear()
        each.labels["site"] = "elsewhere"
    assert [(node.name, node.wave, node.groups) for node in rollout.nodes] == [
        ("a", 0, {"site": "lab"}),
        ("b", 1, {"site": "far"}),
        ("c", 1, {}),
    ]


def test_zones_are_the_windows_or_the_label_or_what_the_node_says() -> None:
    own = Strategy(window=NIGHT)
    rollout = planned(
        own,
        entry("a", timezone="Asia/Tokyo"),
        entry("b"),
        zones={"a": "UTC", "b": "Europe/Berlin"},
    )
    assert {node.name: node.zone for node in rollout.nodes} == {
        "a": "Asia/Tokyo",
        "b": "Europe/Berlin",
    }
    fixed = Strategy(window=Window(cron="0 2 * * *", duration=3600.0, zone="UTC"))
    assert planned(fixed, entry("a")).nodes[0].zone == "UTC"
    assert planned(Strategy(), entry("a")).nodes[0].zone is None


@pytest.mark.parametrize(
    ("zones", "words"),
    [
        ({"b": "UTC"}, "a: its time zone is not known"),
        ({"a": None, "b": "UTC"}, "a: its time zone is not known"),
        ({"a": "UTC", "b": "Mars/Base"}, "b: this machine knows no zone 'Mars/Base'"),
    ],
)
def test_a_zone_that_is_not_known_is_refused_by_name(
    zones: Mapping[str, str | None], words: str
) -> None:
    with pytest.raises(ProblemError, match=words) as raised:
        planned(Strategy(window=NIGHT), entry("a"), entry("b"), zones=zones)
    assert raised.value.code == "rollout.window"
    assert "label timezone" in (raised.value.hint or "")


def test_waves_that_sum_past_the_fleet() -> None:
    with pytest.raises(ProblemError, match="wave 2: it wants 2 nodes, and 1 are left") as raised:
        planned(Strategy(waves=(Wave(nodes=2), Wave(nodes=2))), *map(entry, "abc"))
    assert raised.value.code == "rollout.waves"


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ("a", ["waves 2 to 3 of the release get no node: those before have all of them"]),
        ("ab", ["wave 3 (10 %) of the release gets no node: those before have all of them"]),
        ("abc", []),
        ("abcd", []),
    ],
)
def test_waves_that_a_small_fleet_is_used_up_before_are_told(nodes: str, words: list[str]) -> None:
    waves = (Wave(nodes=1), Wave(percent=10), Wave(percent=10))
    rollout = planned(Strategy(waves=waves), *map(entry, nodes))
    assert list(left_out_lines(rollout)) == words
    told = [line for line in plan_text(rollout, {}, limit=200) if "of the release" in line]
    assert told == words
