"""Compose files written into a test, and what they mean for one node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent, indent

import msgspec

from agent.protocol.workloads import Workload
from console.compose.compose_file import NodeValues, NodeWorkloads, parse_compose, workloads_for
from console.compose.findings import ComposeProblem

FILE = Path("/srv/plant/compose.yaml")


def meaning(
    text: str,
    variables: Mapping[str, str] | None = None,
    *,
    path: Path = FILE,
    profiles: tuple[str, ...] = (),
) -> NodeWorkloads:
    """What the file means for a node. What is found can cross the wire."""
    file = parse_compose(dedent(text), path=path, profiles=profiles)
    found = workloads_for(file, NodeValues("cam-7", variables or {}))
    for workload in found.workloads:
        assert msgspec.convert(msgspec.to_builtins(workload), Workload) == workload
    return found


def of_service(lines: str, more: str = "", *, image: str = "edge/app:1") -> str:
    """A file with the service "app" that has these lines, and `more` at the top."""
    start = f"name: plant\n{dedent(more)}\nservices:\n  app:\n"
    own = f"    image: {image}\n" if image else ""
    return start + own + indent(dedent(lines), "    ")


def service(lines: str, more: str = "", *, variables: Mapping[str, str] | None = None) -> Workload:
    """The service "app" with these lines; nothing may be wrong with it."""
    found = meaning(of_service(lines, more), variables)
    assert found.problems == []
    (workload,) = found.workloads
    return workload


def problem(
    text: str, variables: Mapping[str, str] | None = None, *, path: Path = FILE
) -> ComposeProblem:
    """The one thing that is wrong with the file."""
    (found,) = meaning(text, variables, path=path).problems
    return found
