"""`x-roost.rollout` of a Compose file."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.compose.compose_file import read_compose
from console.rollouts.strategy import Amount, Deadlines, PerGroup, Strategy, Wave
from console.rollouts.strategy_file import read_strategy
from console.rollouts.windows import Window

SERVICES = "services: {web: {image: 'app:1'}}\n"


def read(folder: Path, rollout: str) -> tuple[Strategy, list[str]]:
    file = folder / "app.yaml"
    file.write_text(f"{rollout}{SERVICES}")
    strategy, problems = read_strategy(read_compose(file))
    return strategy, [f"{problem.place}: {problem.what}" for problem in problems]


def test_all_of_it(tmp_path: Path) -> None:
    strategy, problems = read(
        tmp_path,
        """\
x-roost:
  rollout:
    waves: [{nodes: 2}, {selector: site=lab}, {percent: 12.5}]
    weights: [0, 20, 100]
    soak: 10m
    min_healthy: 90s
    max_unavailable: [3, {per: site, count: 1}, {per: rack, percent: 50}]
    failures: 5%
    gate: approval
    window: {cron: "0 22 * * mon-fri", duration: 6h, zone: Europe/Berlin}
    deadline: 2h
    confirm_within: 30m
    catch_up: 3d
    on_failure: pause
""",
    )
    assert problems == []
    assert strategy == Strategy(
        waves=(Wave(nodes=2), Wave(selector="site=lab"), Wave(percent=12.5)),
        weights=(0, 20, 100),
        soak=600,
        min_healthy=90,
        max_unavailable=Amount(count=3),
        max_unavailable_per=(
            PerGroup("site", Amount(count=1)),
            PerGroup("rack", Amount(percent=50)),
        ),
        failures=Amount(percent=5),
        gate="approval",
        window=Window(cron="0 22 * * mon-fri", duration=6 * 3600.0, zone="Europe/Berlin"),
        deadline=Deadlines(prepare=7200, apply=7200, judge=7200, confirm=7200, revert=7200),
        confirm_within=1800,
        catch_up=3 * 86400.0,
        on_failure="pause",
    )


def test_other_ways_to_say_it(tmp_path: Path) -> None:
    strategy, problems = read(
        tmp_path,
        """\
x-roost:
  rollout:
    max_unavailable: {per: site, count: 1}
    deadline: {apply: 10m, revert: 1m}
    window: {cron: "*/30 * * * *", duration: 60s}
    catch_up: "0"
    weights: [100]
""",
    )
    assert problems == []
    assert strategy == Strategy(
        max_unavailable_per=(PerGroup("site", Amount(count=1)),),
        deadline=Deadlines(apply=600, revert=60),
        window=Window(cron="*/30 * * * *", duration=60.0),
        catch_up=0.0,
        weights=(100,),
    )


@pytest.mark.parametrize("text", ["", "x-roost: {rollout: }\n", "x-roost: {}\n"])
def test_nothing_said_is_the_careful_default(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == (Strategy(), [])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("wafes: []", "unknown key 'wafes' in x-roost.rollout"),
        ("waves: [{nodes: 1, percent: 2}]", "x-roost.rollout.waves[0] is not one wave"),
        ("waves: [{nodes: 0}]", "waves[0].nodes is '0', which is no whole number from 1"),
        ("waves: [{percent: 0}]", "waves[0].percent is no share"),
        ("waves: [{percent: 60}, {percent: 50}]", "waves take 110 % of the nodes"),
        ("soak: 5", "soak is '5', which is no duration"),
        ("max_unavailable: many", "max_unavailable is 'many'"),
        ("failures: 150%", "failures is '150%'"),
        ("gate: maybe", "gate is 'maybe'"),
        ("weights: [10, 50]", "weights are 10, 50"),
        ("weights: [50, 10, 100]", "weights are 50, 10, 100"),
        ("weights: [10, 10, 100]", "weights are 10, 10, 100"),
        ("weights: [-1, 100]", "weights[0] is '-1', which is no whole number from 0 to 100"),
        ("weights: [0]", "weights are 0"),
        ("max_unavailable: {per: site}", "max_unavailable is no limit of a group"),
        ("max_unavailable: {count: 1}", "max_unavailable is no limit of a group"),
        ("max_unavailable: {per: site, count: 1, percent: 2}", "is no limit of a group"),
        ("max_unavailable: [1, {per: site, percent: 0}]", "max_unavailable[1].percent is no share"),
        ("max_unavailable: {par: site, per: site, count: 1}", "unknown key 'par'"),
        ("deadline: {aply: 1h}", "unknown key 'aply' in x-roost.rollout.deadline"),
        ("deadline: {apply: 1}", "deadline.apply is '1', which is no duration"),
        ("window: {cron: '0 2 * * *'}", "window is not whole"),
        ("window: {cron: '0 25 * * *', duration: 1h}", "'25' is no hour: 0 to 23"),
        ("window: {cron: '0 0 30 2 *', duration: 1h}", "which never comes"),
        ("window: {cron: '0 0 * * *', duration: 1h, zone: Mars}", "knows no zone 'Mars'"),
        ("window: {cron: '0 0 * * *', duration: 10s}", "is no length of a window"),
        ("window: {cron: '0 0 * * *', duration: 400h}", "is no length of a window"),
        ("window: {corn: x, cron: '0 0 * * *', duration: 1h}", "unknown key 'corn'"),
        ("catch_up: a week", "catch_up is 'a week'"),
        ("min_healthy: 5", "min_healthy is '5', which is no duration"),
        ("on_failure: pray", "on_failure is 'pray'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, said: str, words: str) -> None:
    _, (problem,) = read(tmp_path, f"x-roost:\n  rollout:\n    {said}\n")
    assert words in problem
    assert "app.yaml, line 3" in problem
