"""`roost node show`: all that is known of one node."""

from __future__ import annotations

import time

import click

from agent.protocol.node import NodeFacts
from console.cli.finding_text import finding_lines
from console.cli.gpu_table import print_gpus
from console.cli.look import look_at
from console.cli.node_record import NodeRecord, record_of
from console.cli.node_words import container_count, marks
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument
from console.cli.output import print_json
from console.cli.run import ask_nodes, conclude
from console.cli.setup import Setup
from console.cli.table import UNKNOWN
from console.fleet.agent_words import upgrade_lines
from console.fleet.gpu_ways import way_lines
from console.text import age, clean, plural, size


@click.command("show")
@node_argument
@json_option
@click.pass_obj
def command(setup: Setup, node: str, *, as_json: bool) -> int:
    """Show all that is known of one node."""
    answers = ask_nodes(
        setup,
        [one_node(setup, node)],
        lambda entry, client: look_at(entry, client, timeout=setup.timeout),
    )
    record = record_of(answers[0])
    if as_json:
        print_json(record)
    elif record.facts is not None:
        _print(record, record.facts)
    return conclude(answers)


def _print(record: NodeRecord, facts: NodeFacts) -> None:
    for name, text in _lines(record, facts):
        click.echo(clean(f"{name:<11} {text}"))
    if record.gpus:
        click.echo()
        print_gpus(record.gpus)
    for finding in record.findings:
        click.echo()
        for line in finding_lines(finding):
            click.echo(line)


def _lines(record: NodeRecord, facts: NodeFacts) -> list[tuple[str, str]]:
    host, stack, toolkit, runtime = facts.host, facts.gpu_stack, facts.toolkit, facts.runtime
    labels = " ".join(f"{key}={value}" for key, value in sorted(record.labels.items()))
    state = runtime.state.replace("_", " ")
    found = [
        ("node", " ".join(filter(None, (record.node, marks(record, record.facts))))),
        ("address", record.address),
        ("labels", labels or UNKNOWN),
        ("agent", f"{facts.agent.version} (API {facts.agent.api_version})"),
        *(("", line) for line in upgrade_lines(facts.agent)),
        ("host", f"{host.hostname}, {host.machine or 'unknown machine'}"),
        ("system", f"{host.os}, kernel {host.kernel}, {host.architecture}, {_up(host.booted_at)}"),
        ("processor", f"{plural(host.cpu_count, 'core')}, {host.cpu_model or 'unknown model'}"),
        ("memory", size(host.memory_total_bytes)),
        ("driver", stack.driver_version or stack.reason or stack.state.replace("_", " ")),
        ("CUDA", stack.cuda_version or UNKNOWN),
        ("toolkit", _toolkit(facts) if toolkit.version else "not installed"),
        ("runtime", f"{runtime.name} {runtime.version}" if runtime.name else state),
    ]
    if runtime.reason:
        found.append(("", runtime.reason))
    found += [("" if number else "GPU way", line) for number, line in enumerate(way_lines(facts))]
    if record.live is not None:
        found.append(("containers", container_count(record.live, record.containers)))
    found += [
        (
            "disk",
            f"{disk.path}: {size(disk.free_bytes)} of {size(disk.total_bytes)} free, for "
            + ", ".join(disk.purposes),
        )
        for disk in facts.disks
    ]
    return found


def _toolkit(facts: NodeFacts) -> str:
    mode = f", mode {facts.toolkit.mode}" if facts.toolkit.mode else ""
    return f"{facts.toolkit.version}{mode}"


def _up(booted_at: float | None) -> str:
    return "" if booted_at is None else f"up {age(time.time() - booted_at)}"
