"""A node as `--json` prints it."""

from __future__ import annotations

import msgspec

from agent.protocol.findings import Finding
from agent.protocol.live import LiveContainer, LiveGpu, LiveNode
from agent.protocol.node import NodeFacts
from agent.protocol.problems import Problem
from agent.rules.ways import WayFound
from console.cli.look import Look
from console.cli.run import Answer
from console.fleet.back_off import REFUSALS
from console.fleet.gpu_ways import known_ways
from console.fleet.picture import NodeState


class NodeRecord(msgspec.Struct, kw_only=True):
    """One node: of `fleet.yaml`, and as it showed itself.

    `live` and `facts` are None where it did not answer; `problem` says why.
    """

    node: str
    address: str
    labels: dict[str, str]
    production: bool
    state: NodeState
    problem: Problem | None = None
    live: LiveNode | None = None
    facts: NodeFacts | None = None
    gpus: list[LiveGpu] = []
    containers: list[LiveContainer] = []
    findings: list[Finding] = []
    # How a GPU gets into a container there, the best way first; None: that is not known.
    gpu_ways: list[WayFound] | None = None


def record_of(answer: Answer[Look]) -> NodeRecord:
    """The record of a node that was asked."""
    entry, look, problem = answer.entry, answer.value, answer.problem
    record = NodeRecord(
        node=entry.name,
        address=entry.address,
        labels=entry.labels,
        production=entry.production,
        state="live" if problem is None else state_after(problem.code),
        problem=problem.problem() if problem else None,
    )
    if look is not None:
        record.live, record.facts = look.live, look.facts
        record.gpus, record.containers = look.gpus, look.containers
        record.findings = look.findings
        record.gpu_ways = known_ways(look.facts)
    return record


def state_after(code: str) -> NodeState:
    """Offline, or refused where a person must act first."""
    return "refused" if code in REFUSALS else "offline"
