"""A release's version: of its content, and of nothing else."""

from __future__ import annotations

from pathlib import Path

from console.compose.compose_file import NodeValues, parse_compose, workloads_for_each
from console.rollouts.planning import requests_for
from console.rollouts.strategy import Strategy

TEXT = "name: app\nservices: {web: {image: 'app:1', environment: {WHO: '${WHO}'}}}\n"


def version(text: str, *values: str, strategy: Strategy | None = None) -> str:
    nodes = [NodeValues(f"cam-{n}", {"WHO": value}) for n, value in enumerate(values)]
    found = workloads_for_each(parse_compose(text, path=Path("/srv/app.yaml")), nodes)
    made, requests = requests_for(found, strategy or Strategy())
    assert {each.release for each in requests.values()} == {f"app@{made[:8]}"}
    assert len(requests) == len(values)
    return made


def test_equal_content_has_the_same_version_on_however_many_nodes() -> None:
    assert version(TEXT, "a") == version(TEXT, "a", "a", "a")
    assert version(TEXT, "a", "b") == version(TEXT, "b", "a", "b")


def test_other_content_has_another() -> None:
    versions = {
        version(TEXT, "a"),
        version(TEXT, "b"),
        version(TEXT.replace("app:1", "app:2"), "a"),
        version(TEXT, "a", strategy=Strategy(soak=1)),
    }
    assert len(versions) == 4
