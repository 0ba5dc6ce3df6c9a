"""`x-roost.mode`: what goes over a service's ports."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from console.compose.compose_file import NodeValues, NodeWorkloads, parse_compose, workloads_for

TEXT = """\
services:
  triton:
    image: triton:1
    ports: ["8000:8000", "8001:8001", "9000:9000/udp"]
    x-roost: {%s}
"""


def means(said: str) -> NodeWorkloads:
    file = parse_compose(TEXT % said, path=Path("app.yaml"))
    return workloads_for(file, NodeValues("", {}))


@pytest.mark.parametrize(
    ("said", "modes"),
    [
        ("strategy: weighted", ["http", "http", "http"]),
        ("mode: http", ["http", "http", "http"]),
        ("mode: tcp", ["tcp", "tcp", "http"]),
        ("mode: {8001: grpc}", ["http", "grpc", "http"]),
        ('mode: {8000: http, "8001": tcp}', ["http", "tcp", "http"]),
    ],
)
def test_all_ports_or_each_its_own(said: str, modes: list[str]) -> None:
    found = means(said)
    assert list(found.problems) == []
    assert [port.mode or "http" for port in found.workloads[0].ports] == modes
    # Agents that know of no modes refuse them, and a release's version is of what is sent.
    sent = msgspec.to_builtins(found.workloads[0].ports)
    assert [port.get("mode", "http") for port in sent] == modes
    assert "http" not in [port.get("mode") for port in sent]


@pytest.mark.parametrize(
    ("said", "words", "level"),
    [
        ("mode: udp", "x-roost.mode is 'udp'", "error"),
        ("mode: {8001: gprc}", "x-roost.mode.8001 is 'gprc'", "error"),
        ("mode: {8002: grpc}", "x-roost.mode.8002 is no port that it publishes", "error"),
        ("mode: {9000: tcp}", "x-roost.mode.9000 is no port that it publishes", "error"),
        ("mode: {web: tcp}", "x-roost.mode.web is no port that it publishes", "error"),
        ("mode: [tcp]", "x-roost.mode", "error"),
        ("mode: tcp, strategy: stop-then-start", "x-roost.mode has no effect", "warning"),
    ],
)
def test_what_cannot_be_is_told(said: str, words: str, level: str) -> None:
    [problem] = means(said).problems
    assert words in problem.what
    assert (problem.level, problem.line) == (level, 5)
