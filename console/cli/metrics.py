"""`roost metrics`: what only this console knows, for Prometheus."""

from __future__ import annotations

import time
from pathlib import Path

import click

from agent.durable import appearing
from agent.protocol.exposition import Exposition
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from console.cli.nodes import fleet_file, selected_nodes
from console.cli.options import selector_argument
from console.cli.output import say
from console.cli.rollout_journal import this_journal
from console.cli.run import Answer, ask_nodes
from console.cli.setup import Setup
from console.fleet.drift import drift_of
from console.fleet.expectations import expectations
from console.fleet.fleet_file import load_inventory
from console.fleet.inventory import Inventory, NodeEntry
from console.link.client import NodeClient
from console.rollouts.journal import Journal
from console.rollouts.locks import locked
from console.rollouts.record import Rollout
from console.text import plural

# A rollout that has ended is told of for so long.
ENDED_SECONDS = 86_400.0


@click.command("metrics")
@selector_argument
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.prom",
    help="Replace FILE.prom in one step, for node_exporter's textfile collector.",
)
@click.pass_obj
def command(setup: Setup, selector: str | None, output: Path | None) -> int:
    """Tell Prometheus what no agent can: nodes that do not answer, drift, rollouts.

    Nodes do not know fleet.yaml, nor the journal of this host. docs/monitoring says how
    Prometheus gets this. A node that does not answer is a figure here and no failure.
    """
    nodes = selected_nodes(setup, selector)
    inventory = load_inventory(fleet_file(setup))
    answers = ask_nodes(setup, nodes, _facts)
    page = Exposition()
    now = time.time()
    page.add("roost_metrics_at_seconds", "gauge", "When these were looked up (Unix time).", now, {})
    _add_nodes(page, inventory, answers)
    _add_rollouts(page, this_journal(), now)
    if output is None:
        click.echo(page.render(), nl=False)
        return 0
    try:
        with appearing(output, mode=0o644) as file:
            file.write(page.render().encode())
    except OSError as error:
        raise ProblemError(
            "console.unwritable",
            f"{output}: {error.strerror}",
            params={"file": str(output)},
            hint="Check the permissions of its folder, and the space left there.",
        ) from None
    away = sum(answer.problem is not None for answer in answers)
    say(f"{plural(len(answers), 'node')} written to {output}; {away} did not answer")
    return 0


async def _facts(_entry: NodeEntry, client: NodeClient) -> NodeFacts:
    return await client.node()


def _add_nodes(page: Exposition, inventory: Inventory, answers: list[Answer[NodeFacts]]) -> None:
    for answer in answers:
        up = "1 if the node's agent answered the console."
        labels = {"node": answer.entry.name, "production": str(answer.entry.production).lower()}
        page.add("roost_node_up", "gauge", up, answer.value is not None, labels)
    for answer in answers:
        if answer.value is None:
            continue  # what it was may not be what it is
        for drift in drift_of(expectations(inventory, answer.entry), answer.value):
            labels = {"node": answer.entry.name, "fact": drift.fact}
            off = None if drift.state == "unknown" else drift.state == "off"
            page.add(
                "roost_node_drift",
                "gauge",
                "1 if the fact is not as fleet.yaml expects it.",
                off,
                labels,
            )
            page.add(
                "roost_node_drift_unknown",
                "gauge",
                "1 if it could not be told whether the fact is as fleet.yaml expects it.",
                drift.state == "unknown",
                labels,
            )


def _add_rollouts(page: Exposition, journal: Journal, now: float) -> None:
    for rollout in journal.rollouts():
        ended = rollout.state == "planned" or not rollout.wants_runner
        if ended and now - rollout.since > ENDED_SECONDS:
            continue
        steered = rollout.wants_runner and locked(journal.folder, rollout.id)
        _add_rollout(page, rollout, steered=steered)


def _add_rollout(page: Exposition, rollout: Rollout, *, steered: bool) -> None:
    labels = {"rollout": rollout.id, "release": rollout.release, "version": rollout.version[:8]}
    page.add(
        "roost_rollout_state",
        "gauge",
        "1 for the state that the rollout is in.",
        1,
        {**labels, "state": rollout.state},
    )
    page.add(
        "roost_rollout_since_seconds",
        "gauge",
        "Since when it is in that state (Unix time).",
        rollout.since,
        labels,
    )
    if rollout.wants_runner:
        page.add(
            "roost_rollout_steered",
            "gauge",
            "1 if a runner steers it; without one nothing goes on.",
            steered,
            labels,
        )
    for stage, count in sorted(rollout.counts().items()):
        page.add(
            "roost_rollout_nodes", "gauge", "Nodes by stage.", count, {**labels, "stage": stage}
        )
