"""`analysis` of a Compose file's `x-roost.rollout`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.protocol.arms import Arms
from agent.protocol.decoding import from_json
from agent.protocol.measures import ExecMeasure, PrometheusMeasure, Replay
from console.compose.compose_file import read_compose
from console.rollouts.judging.analysis import CAREFUL, Analysis, Condition
from console.rollouts.judging.judge import judge
from console.rollouts.judging.looks import NodeLooks
from console.rollouts.judging.words import label
from console.rollouts.strategy import Strategy
from console.rollouts.strategy_file import read_strategy
from tests.console.rollouts.judging.arms_made import even, judged, of

SERVICES = "services:\n  web: {image: 'app:1'}\n  db: {image: 'db:1'}\n"


def read(folder: Path, analysis: str) -> tuple[Analysis, list[str]]:
    """With `analysis` from line 4 on."""
    file = folder / "app.yaml"
    lines = "".join(f"      {line}\n" for line in analysis.splitlines())
    file.write_text(f"x-roost:\n  rollout:\n    analysis:\n{lines}{SERVICES}")
    strategy, problems = read_strategy(read_compose(file))
    return strategy.analysis, [
        f"line {problem.line}: {problem.what}. {problem.hint}" for problem in problems
    ]


def conditions(folder: Path, listed: str) -> tuple[Condition, ...]:
    found, problems = read(folder, f"conditions: [{listed}]")
    assert problems == []
    return found.conditions


def test_all_of_it(tmp_path: Path) -> None:
    found, problems = read(
        tmp_path,
        """\
false_alarms: 0.5%
initial_delay: 45s
patience: 1h
no_data: wait
errors: 2
conditions:
  - error_rate: {at_most: 2%, workload: web, least: 50}
  - p99.9: {worse_by: 15%, initial_delay: 2m}
  - distribution: {worse_by: 0.2, no_data: pass}
  - gpu_memory: {at_most: 12g, dry_run: true}
  - metric:
      name: queue
      workload: web
      port: 9090
      metric: queue_length
      labels: {model: detector}
      interval: 5s
      at_most: 100
      consecutive: 4
  - exec:
      name: accuracy
      workload: web
      command: [python3, /golden.py]
      timeout: 2m
      at_least: 0.92
  - exec:
      name: accuracy
      workload: web
      command: [python3, /golden.py]
      timeout: 2m
      worse_by: 1%
      better: higher
replay:
  - workload: web
    port: 8000
    method: POST
    path: /infer
    headers: {Content-Type: application/json}
    body: "{}"
    rate: 0.5
    timeout: 3s
""",
    )
    assert problems == []
    assert (found.false_alarms, found.initial_delay, found.patience) == (0.005, 45, 3600)
    assert (found.no_data, found.errors) == ("wait", 2)
    assert [label(each) for each in found.conditions] == [
        "errors at most 2 %",
        "p99.9 at most 15 % over stable",
        "latency as a whole no slower than stable (delta 0.2 at most)",
        "GPU memory at most 12 GiB",
        "queue at most 100",
        "accuracy at least 0.92",
        "accuracy at most 1 % under stable",
    ]
    rate, tail, whole, memory, queue, *_ = found.conditions
    assert (rate.workload, rate.least, rate.at_most) == ("web", 50, 0.02)
    assert (tail.quantile, tail.initial_delay) == (0.999, 120)
    assert (whole.no_data, memory.dry_run, memory.consecutive) == ("pass", True, 3)
    assert (queue.name, queue.consecutive) == ("queue", 4)
    accuracy = ExecMeasure(name="accuracy", command=["python3", "/golden.py"], timeout=120)
    queue_length = PrometheusMeasure(
        name="queue",
        port=9090,
        metric="queue_length",
        labels={"model": "detector"},
        interval=5,
    )
    assert found.measures == {"web": (queue_length, accuracy)}
    assert found.replays == {
        "web": Replay(
            port=8000,
            method="POST",
            path="/infer",
            headers={"Content-Type": "application/json"},
            body=b"{}",
            rate=0.5,
            timeout=3,
        )
    }
    assert from_json(msgspec.json.encode(found), Analysis) == found


def test_nothing_said_is_what_a_careful_operator_would(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(SERVICES)
    strategy, problems = read_strategy(read_compose(file))
    assert (strategy, problems) == (Strategy(), [])
    assert strategy.analysis.conditions == CAREFUL
    assert read(tmp_path, "patience: 5m")[0].conditions == CAREFUL
    assert read(tmp_path, "conditions: []")[0].conditions == ()


def test_a_name_alone_has_defaults(tmp_path: Path) -> None:
    found = conditions(tmp_path, "error_rate, p99: , distribution, restarts, xids: {}, gpu_probe")
    assert [label(each) for each in found] == [
        "errors at most 25 % over stable",
        "p99 at most 10 % over stable",
        "latency as a whole no slower than stable (delta 0.15 at most)",
        "restarts at most 0",
        "XIDs at most 0",
        "the GPUs seen from inside",
    ]
    assert {each.where for each in found} == {"all"}  # asked for: inconclusive where it is not seen


@pytest.mark.parametrize(
    ("said", "at_most"),
    [
        ("p50: {at_most: 80ms}", 0.08),
        ("gpu_utilization: {at_most: 95%}", 95),
        ("gpu_utilization: {at_most: 95}", 95),
        ("gpu_temperature: {at_most: 82.5}", 82.5),
        ("restarts: {at_most: 2}", 2),
        ("metric: {workload: db, name: t, port: 1, metric: t, at_most: -3}", -3),
    ],
)
def test_bounds_in_their_units(tmp_path: Path, said: str, at_most: float) -> None:
    (found,) = conditions(tmp_path, f"{{{said}}}")
    assert found.at_most == at_most


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("patiance: 5m", "unknown key 'patiance' in x-roost.rollout.analysis. Did you mean"),
        ("false_alarms: 0.01", "is '0.01', which is no share"),
        ("false_alarms: 0%", "no share that a test can keep"),
        ("false_alarms: 50%", "no share that a test can keep"),
        ("no_data: maybe", "no_data is 'maybe'. It may be 'wait'"),
        ("patience: 5", "which is no duration"),
        ("errors: -1", "which is no whole number"),
        ("conditions: [{eror_rate: {}}]", "unknown key 'eror_rate' in"),
        ("conditions: [eror_rate]", "is 'eror_rate'. Did you mean 'error_rate'?"),
        ("conditions: [{p100: {}}]", "unknown key 'p100'"),
        ("conditions: [{p0: {}}]", "unknown key 'p0'"),
        ("conditions: [{p99: {}, p95: {}}]", "is more than one condition"),
        ("conditions: [{p99: {at_msot: 1s}}]", "unknown key 'at_msot' in"),
        ("conditions: [{p99: {at_most: 1s, worse_by: 5%}}]", "is a bound and a comparison"),
        ("conditions: [{p99: {at_most: 5}}]", "which is no duration"),
        ("conditions: [{p99: {worse_by: 0.1}}]", "which is no share"),
        ("conditions: [{p99: {at_least: 1s}}]", "unknown key 'at_least'"),
        ("conditions: [{error_rate: {at_most: 100%}}]", "is all of them"),
        ("conditions: [{error_rate: {workload: wep}}]", "Did you mean 'web'?"),
        ("conditions: [{distribution: {worse_by: 15}}]", "no difference of distributions"),
        ("conditions: [{gpu_memory: {}}]", "says no bound"),
        ("conditions: [{gpu_memory: {at_most: lots}}]", "which is no size"),
        ("conditions: [p99, p99]", "conditions[1] is said twice"),
        ("conditions: [p99, {p99: {workload: db}}]", "conditions[1] is said twice"),
        ("conditions: [{metric: {workload: web, name: q, port: 1, metric: q}}]", "says no bound"),
        (
            "conditions: [{metric: {workload: web, port: 1, metric: q, at_most: 1}}]",
            "missing required field",
        ),
        (
            "conditions: [{metric: {workload: web, name: Q, port: 1, metric: q, at_most: 1}}]",
            "matching regex",
        ),
        (
            "conditions: [{metric: {workload: web, name: q, port: 1, metric: q, at_most: .nan}}]",
            "no number",
        ),
        ("conditions: [{exec: {workload: web, name: q, command: [], at_most: 1}}]", "cannot be"),
        (
            "conditions: [{exec: {workload: db, name: q, command: [a], at_most: 1, timeout: 1ms}}]",
            "cannot be",
        ),
        (
            (
                "conditions: [{exec: {workload: web, name: q, command: [a], at_most: 1}},"
                " {exec: {workload: web, name: q, command: [b], at_least: 1, worse_by: 1%}}]"
            ),
            "is a bound and a comparison",
        ),
        (
            (
                "conditions: [{exec: {workload: web, name: q, command: [a], at_most: 1}},"
                " {exec: {workload: web, name: q, command: [b], worse_by: 1%}}]"
            ),
            "measures q in two ways",
        ),
        ("conditions: [{exec: {name: q, command: [a], at_most: 1}}]", "names no workload"),
        ("replay: [{port: 80}]", "names no workload"),
        ("replay: [{workload: web}]", "missing required field `port`"),
        ("replay: [{workload: web, port: 80, rate: 1000}]", "cannot be"),
        (
            "replay: [{workload: web, port: 80}, {workload: web, port: 81}]",
            "replay[1] is the second of web",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, said: str, words: str) -> None:
    _, problems = read(tmp_path, said)
    assert len(problems) == 1
    assert words in problems[0]
    assert problems[0].startswith("line 4: ")


def test_a_measure_of_the_only_service_need_not_name_it(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    said = "conditions: [{exec: {name: q, command: [a], at_most: 1}}]"
    file.write_text(
        f"x-roost: {{rollout: {{analysis: {{{said}}}}}}}\nservices: {{web: {{image: 'a:1'}}}}\n"
    )
    strategy, problems = read_strategy(read_compose(file))
    assert problems == []
    assert list(strategy.analysis.measures) == ["web"]
    assert strategy.analysis.conditions[0].workload == "web"


def test_what_was_read_can_be_judged_by(tmp_path: Path) -> None:
    found = Analysis(conditions=conditions(tmp_path, "{error_rate: {at_most: 1%, least: 10}}"))
    assert judge(found, of(even(20)), NodeLooks(), soaked=5).outcome == "pass"
    assert judged(found, [of(even(20, 10)), of(even(40, 20))])[-1].outcome == "fail"
    assert judge(found, Arms(deployment="d"), NodeLooks(), soaked=5).outcome == "wait"
