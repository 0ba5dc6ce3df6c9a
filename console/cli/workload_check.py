"""`roost workload check`: what a Compose file means on each node; no node is asked."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec

from agent.protocol.workloads import GpuRequest, Port, Workload
from console.cli.options import json_option
from console.cli.output import print_json
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, Row, print_table
from console.cli.workload_options import Asked, compose_arguments, read_workloads, tell_problems
from console.compose.compose_file import NodeWorkloads
from console.compose.findings import ComposeProblem
from console.text import size

COLUMNS = (
    NODE,
    Column("WORKLOAD", least=12),
    Column("IMAGE", least=16),
    Column("GPU", keep=8, least=10),
    Column("PORTS", keep=6, least=8),
    Column("WAITS FOR", keep=4, least=10),
)


class CheckRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it; no workloads where a problem is an error."""

    node: str
    project: str
    workloads: Sequence[Workload]
    problems: Sequence[ComposeProblem]


@click.command("check")
@compose_arguments
@json_option
@click.pass_obj
def command(setup: Setup, *, asked: Asked, as_json: bool) -> int:
    """Say what a Compose file means on each node. No node is asked, and nothing changes.

    Variables come from --set, from vars: in fleet.yaml (a node's own, then by selector, the more
    specific first), from --env-file, and from the node: ROOST_NODE, ROOST_LABEL_SITE. They never
    come from your environment. The exit code is 1 where a node would be refused.
    """
    _, found = read_workloads(setup, asked)
    if as_json:
        print_json([_record(node) for node in found])
        return int(any(node.refused for node in found))
    print_table(COLUMNS, [row for node in found for row in _rows(node)])
    return int(tell_problems(found))


def _record(node: NodeWorkloads) -> CheckRecord:
    return CheckRecord(
        node=node.node, project=node.project, workloads=node.workloads, problems=node.problems
    )


def _rows(node: NodeWorkloads) -> list[Row]:
    if node.refused:
        return [(node.node, "refused", UNKNOWN, "", "", "")]
    return [
        (
            node.node,
            workload.name,
            workload.image,
            _gpu(workload.gpu),
            _ports(workload.ports),
            ", ".join(workload.depends_on),
        )
        for workload in node.workloads
    ]


def _gpu(request: GpuRequest | None) -> str:
    if request is None:
        return ""
    words = [f"{request.count} x {request.select}" if request.count > 1 else request.select]
    if request.memory_bytes:
        words.append(size(request.memory_bytes))
    if request.exclusive:
        words.append("alone")
    return " ".join(words)


def _ports(ports: Sequence[Port]) -> str:
    """Those that are published, as Compose writes them."""
    shown = []
    for port in ports:
        host = f"[{port.host_ip}]:" if ":" in port.host_ip else port.host_ip and f"{port.host_ip}:"
        protocol = "" if port.protocol == "tcp" else f"/{port.protocol}"
        shown.append(f"{host}{port.published or ''}:{port.target}{protocol}")
    return ", ".join(shown)
