"""`x-roost.rollout` of a Compose file."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.compose.compose_file import read_compose
from console.rollouts.strategy import Amount, Deadlines, Strategy, Wave
from console.rollouts.strategy_file import read_strategy

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
    soak: 10m
    max_unavailable: 3
    failures: 5%
    gate: manual
    deadline: 2h
    confirm_within: 30m
    on_failure: pause
""",
    )
    assert problems == []
    assert strategy == Strategy(
        waves=(Wave(nodes=2), Wave(selector="site=lab"), Wave(percent=12.5)),
        soak=600,
        max_unavailable=Amount(count=3),
        failures=Amount(percent=5),
        gate="manual",
        deadline=Deadlines(prepare=7200, apply=7200, judge=7200, confirm=7200, revert=7200),
        confirm_within=1800,
        on_failure="pause",
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
        ("on_failure: pray", "on_failure is 'pray'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, said: str, words: str) -> None:
    _, (problem,) = read(tmp_path, f"x-roost:\n  rollout:\n    {said}\n")
    assert words in problem
    assert "app.yaml, line 3" in problem
