"""What a proxy sees too little of to be judged by, and replays that go with no such port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from agent.protocol.measures import Replay
from agent.protocol.workloads import Mode, Workload
from console.compose.compose_file import NodeWorkloads
from console.compose.findings import ComposeProblem, Findings
from console.compose.reading import ROOST
from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.judging.words import name_of

KEY = f"{ROOST}.mode"
INSTEAD = (
    "Judge it by what can be seen: a measure (a page of metrics, or a command), restarts, XIDs."
    " Or say conditions without these, and gate: manual."
)


class Unjudged(NamedTuple):
    """Conditions on one workload that come to no result."""

    workload: str
    why: str  # "port 9000 is TCP: errors and p99 cannot be judged, so a person is asked"


def unjudged(analysis: Analysis, workloads: Iterable[Workload]) -> Iterator[Unjudged]:
    """Of workloads that a proxy may stand in front of."""
    for workload in workloads:
        if not _proxied(workload):
            continue
        asked = [each for each in analysis.conditions if _asks(each, workload.name)]
        tcp, grpc = _ports(workload, "tcp"), _ports(workload, "grpc")
        if tcp:
            port, lost = f"{_are(tcp)} TCP", asked
        else:
            port = f"{_are(grpc)} gRPC, with errors in trailers"
            lost = [each for each in asked if each.of == "error_rate"] if grpc else []
        if lost:
            names = " and ".join(dict.fromkeys(name_of(each) for each in lost))
            why = f"{port}: {names} cannot be judged, so a person is asked"
            yield Unjudged(workload.name, why)


def unjudged_lines(analysis: Analysis, means: Iterable[NodeWorkloads]) -> list[str]:
    """The same for all nodes of a plan, each once, with what to do."""
    found = dict.fromkeys(
        f"{each.workload}: {each.why}"
        for node in means
        for each in unjudged(analysis, node.workloads)
    )
    return [*found, *([INSTEAD] if found else [])]


def no_replay(
    replays: Mapping[str, Replay], means: NodeWorkloads, *, file: str
) -> list[ComposeProblem]:
    """Those that would be of HTTP where something else is spoken. `file`: the release's."""
    findings = Findings(file)
    for workload in means.workloads:
        replay = replays.get(workload.name)
        if replay is None or not _proxied(workload):
            continue
        modes = {port.target: port.mode for port in workload.ports}
        wrong = _ports(workload, "tcp") and "tcp"
        if modes.get(replay.port) == "grpc":
            wrong = "grpc"
        if wrong:
            lines = means.lines.get(workload.name, {})
            findings.add(
                "release.replay",
                lines.get(KEY, lines.get("")),
                f"services.{workload.name}.{KEY} is {wrong}, and a replay sends HTTP/1",
                "Take its replay out, and measure it by a command: analysis: {conditions: [{exec:"
                " ...}]}.",
            )
    return list(findings.problems)


def _proxied(workload: Workload) -> bool:
    """Whether a proxy may stand in front of it. Where none can, its mode says nothing."""
    return workload.strategy != "stop-then-start"


def _asks(condition: Condition, workload: str) -> bool:
    return (
        condition.tested
        and condition.where != "measurable"
        and condition.workload in (None, workload)
    )


def _are(ports: str) -> str:
    return f"ports {ports} are" if "," in ports else f"port {ports} is"


def _ports(workload: Workload, mode: Mode) -> str:
    """As they are published, in words."""
    found = {str(each.published or each.target) for each in workload.ports if each.mode == mode}
    return ", ".join(sorted(found, key=int))
