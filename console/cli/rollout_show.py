"""`roost rollout ls|status|history`: what the journal has."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from console.cli.options import json_option
from console.cli.output import print_json, say
from console.cli.rollout_journal import rollout_argument, this_journal
from console.cli.table import NODE, Column, print_table
from console.rollouts.finding import find_rollout
from console.rollouts.locks import locked
from console.rollouts.record import Judged, Rollout
from console.rollouts.waiting import waits_for
from console.rollouts.words import (
    count_words,
    event_line,
    lost_lines,
    stage_words,
    state_words,
    unsteered_lines,
)
from console.text import age, clean

LIST = (
    Column("ROLLOUT"),
    Column("RELEASE", least=8),
    Column("STATE", least=8),
    Column("NODES", least=12),
    Column("BY"),
    Column("SINCE"),
)
NODES = (
    NODE,
    Column("WAVE"),
    Column("STAGE"),
    Column("SINCE"),
    Column("JUDGED"),
    Column("WHY", least=12),
)


@click.command("ls")
@json_option
def ls(*, as_json: bool) -> int:
    """List the rollouts of this host, the newest first."""
    found = this_journal().rollouts()
    if as_json:
        print_json(found)
        return 0
    now = time.time()
    print_table(
        LIST,
        [
            (
                each.id,
                f"{each.release}@{each.version[:8]}",
                state_words(each),
                count_words(each),
                each.owner,
                age(now - each.since),
            )
            for each in found
        ],
    )
    return 0


@click.command("status")
@rollout_argument
@json_option
def status(rollout_id: str | None, *, as_json: bool) -> int:
    """Say how far a rollout is, node by node. Without an id: the newest."""
    journal = this_journal()
    rollout = find_rollout(journal, rollout_id)
    if as_json:
        print_json(rollout)
        return 0
    why = f": {rollout.why}" if rollout.why else ""
    name = f"{rollout.release}@{rollout.version[:8]}"
    say(f"rollout {rollout.id}, {name}: {state_words(rollout)}{why}")
    now = time.time()
    for line in waits_for(rollout, now):
        say(f"it waits: {line}")
    lost = [node for node in rollout.nodes if node.stage == "lost"]
    for line in dict.fromkeys("; ".join(lost_lines(rollout, node)) for node in lost):
        say(f"lost nodes: {line}")
    for line in unsteered_lines(rollout, steered=locked(journal.folder, rollout.id)):
        say(line)
    print_table(
        NODES,
        [
            (
                node.name,
                str(node.wave + 1),
                stage_words(node),
                age(now - node.since),
                node.judged or "",
                node.why,
            )
            for node in rollout.nodes
        ],
    )
    _print_judged(rollout, journal.judged(rollout.id), now)
    return 0


def _print_judged(rollout: Rollout, judged: Mapping[str, Judged], now: float) -> None:
    """What the judge says of nodes that are watched, with its figures."""
    for node in rollout.nodes:
        found = judged.get(node.name)
        if found is None or node.stage != "canary" or found.deployment != node.deployment:
            continue
        click.echo(f"{node.name}, looked at {age(now - found.at)} ago: {found.outcome}")
        for finding in found.findings:
            shown = ", shown only" if finding.dry_run else ""
            click.echo(clean(f"  {finding.outcome}{shown}: {finding.key}: {finding.words}"))


@click.command("history")
@rollout_argument
@json_option
def history(rollout_id: str | None, *, as_json: bool) -> int:
    """Say what happened in a rollout: when, where, by whom, why. Without an id: the newest."""
    journal = this_journal()
    events = [event for _, event in journal.events(find_rollout(journal, rollout_id).id)]
    if as_json:
        print_json(events)
        return 0
    for event in events:
        click.echo(event_line(event))
    return 0
