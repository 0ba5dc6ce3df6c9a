"""What a release would be judged by and cannot be, as nothing of it is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.compose.compose_file import NodeValues, NodeWorkloads, read_compose, workloads_for
from console.rollouts.judging.analysis import Analysis
from console.rollouts.release_check import check_release
from console.rollouts.strategy_file import read_strategy
from console.rollouts.unjudged import INSTEAD, no_replay, unjudged, unjudged_lines

TEXT = """\
x-roost:
  rollout: {analysis: {%s}}
services:
  cam:
    image: cam:1
    healthcheck: {test: [CMD, "true"]}
    ports: ["8000:8000", "9001:8001"]
    x-roost: {strategy: %s, mode: %s}
"""


def read(
    folder: Path, *, analysis: str = "", mode: str, strategy: str = "weighted"
) -> tuple[Analysis, NodeWorkloads]:
    path = folder / "app.yaml"
    path.write_text(TEXT % (analysis, strategy, mode))
    file = read_compose(path)
    found, problems = read_strategy(file)
    assert problems == []
    return found.analysis, workloads_for(file, NodeValues("", {}))


@pytest.mark.parametrize(
    ("mode", "analysis", "why"),
    [
        ("http", "", None),
        ("tcp", "", "ports 8000, 9001 are TCP: errors and p99 cannot be judged"),
        ("{8001: grpc}", "", "port 9001 is gRPC, with errors in trailers: errors cannot be judged"),
        ("{8001: grpc}", "conditions: [p99: {at_most: 1s}]", None),
        ("{8001: tcp}", "conditions: [p99: {at_most: 1s}]", "port 9001 is TCP: p99 cannot be"),
        ("{8001: tcp}", "conditions: [p99: {at_most: 1s, dry_run: true}]", None),
        ("{8001: tcp}", "conditions: [restarts: {at_most: 0}]", None),
    ],
)
def test_what_comes_to_no_result(tmp_path: Path, mode: str, analysis: str, why: str | None) -> None:
    given, means = read(tmp_path, analysis=analysis, mode=mode)
    found = [each.why for each in unjudged(given, means.workloads)]
    assert len(found) == (why is not None)
    assert all(each.startswith(why or "") for each in found)
    lines = unjudged_lines(given, [means, means])
    assert lines == ([f"cam: {found[0]}", INSTEAD] if found else [])
    problems = check_release(
        read_compose(tmp_path / "app.yaml"), means, parcels=None, fleet=None, analysis=given
    )
    assert [(each.code, each.level, each.line) for each in problems] == (
        [("release.unjudged", "warning", 8)] if found else []
    )


def test_one_without_a_proxy_is_not_told_of(tmp_path: Path) -> None:
    given, means = read(tmp_path, mode="tcp", strategy="stop-then-start")
    assert list(unjudged(given, means.workloads)) == []


@pytest.mark.parametrize(
    ("mode", "port", "refused"),
    [
        ("http", 8000, None),
        ("tcp", 7000, "tcp"),  # it would be judged by what nobody asks for
        ("{8001: tcp}", 8000, "tcp"),
        ("{8001: grpc}", 8001, "grpc"),
        ("{8001: grpc}", 8000, None),
    ],
)
def test_a_replay_goes_with_http(tmp_path: Path, mode: str, port: int, refused: str | None) -> None:
    replay = f"replay: [{{workload: cam, port: {port}, path: /x}}]"
    given, means = read(tmp_path, analysis=replay, mode=mode)
    found = no_replay(given.replays, means, file="app.yaml")
    assert [each.code for each in found] == (["release.replay"] if refused else [])
    for each in found:
        assert each.what == f"services.cam.x-roost.mode is {refused}, and a replay sends HTTP/1"
        assert (each.level, each.line) == ("error", 8)


@pytest.mark.parametrize("mode", ["tcp", "{8000: grpc}"])
def test_a_mode_that_has_no_effect_refuses_no_replay(tmp_path: Path, mode: str) -> None:
    """As the warning says."""
    replay = "replay: [{workload: cam, port: 8000, path: /x}]"
    given, means = read(tmp_path, analysis=replay, mode=mode, strategy="stop-then-start")
    assert [(each.level, each.what) for each in means.problems] == [
        ("warning", "services.cam.x-roost.mode has no effect here")
    ]
    assert no_replay(given.replays, means, file="app.yaml") == []
