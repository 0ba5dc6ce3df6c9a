"""What people read of an analysis and of findings."""

from __future__ import annotations

import pytest

from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.judging.judge import Finding
from console.rollouts.judging.words import analysis_lines, figure, key_of, label, reason


def test_a_plan_says_the_careful_defaults() -> None:
    assert list(analysis_lines(Analysis())) == [
        "each node is judged by",
        "  errors at most 25 % over stable (weighted; from 200 requests)",
        "  p99 at most 10 % over stable (weighted; from 1,000 requests; after 30s)",
        "  errors at most 2 % (weighted; from 200 requests)",
        "  restarts at most 0 (where it can be measured)",
        "  XIDs at most 0 (where it can be measured)",
        "  the GPUs seen from inside (where it can be measured; 2 readings in a row)",
        "  all looks at a node that is no worse fail it with a chance of 1 % at most",
        "  at 100 % stable answers nothing to compare with: only bounds count there",
        "  where there is too little to say after 10m: a person is asked",
    ]


def test_a_plan_fits_80_columns() -> None:
    assert max(map(len, analysis_lines(Analysis()))) <= 78  # it is indented by 2


def test_a_plan_says_what_was_asked_for() -> None:
    condition = Condition(
        of="gpu_memory", at_most=2.0**30, workload="web", no_data="pass", dry_run=True
    )
    analysis = Analysis(conditions=(condition,), no_data="fail", patience=60, initial_delay=5)
    assert list(analysis_lines(analysis)) == [
        "each node is judged by",
        "  GPU memory at most 1.0 GiB (of web; after 5s; else it counts as well; only shown)",
        "  where there is too little to say after 1m: it counts as failed",
    ]
    assert list(analysis_lines(Analysis(conditions=()))) == ["no figures are judged"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "-"),
        (0.0482, "s", "48.2 ms"),
        (1.234, "s", "1.23 s"),
        (0.00005, "s", "50 µs"),
        (0.1, "%", "0.1 %"),
        (100, "%", "100 %"),
        (85, "°C", "85 °C"),
        (3.0, "", "3"),
        (0.91234567, "", "0.912346"),
    ],
)
def test_figures(value: float | None, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def test_keys_and_labels_of_a_bound_and_a_comparison_differ() -> None:
    bound = Condition(of="latency", quantile=0.999, at_most=0.08)
    against = Condition(of="latency", quantile=0.999, worse_by=0.1)
    assert [key_of("web", each) for each in (bound, against)] == ["web/p99.9", "web/p99.9.stable"]
    assert label(bound) == "p99.9 at most 80 ms"


def test_findings_in_a_line() -> None:
    finding = Finding(key="web/restarts", outcome="fail", words="restarts 1, 0 may be")
    assert finding.line == "fail: web: restarts 1, 0 may be"
    shown = Finding(key="web/xids", outcome="fail", words="XIDs 1, 0 may be", dry_run=True)
    assert shown.line == "fail, only shown: web: XIDs 1, 0 may be"
    assert Finding(key="nothing", outcome="wait", words="as yet").line == "wait: as yet"


def test_what_a_node_said_is_made_safe() -> None:
    assert "\x1b" not in reason("gone\x1b[2J\nand more")
    assert len(reason("x" * 1000)) == 200
