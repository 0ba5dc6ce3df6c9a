"""`roost rollout plan`: waves, and what would happen on each node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from agent.protocol.deployments import DeployPlan
from agent.protocol.problems import ProblemError
from console.cli.options import json_option
from console.cli.output import print_json, say
from console.cli.release_reading import read_release
from console.cli.rollout_journal import this_journal
from console.cli.rollout_words import strategy_lines
from console.cli.run import ask_nodes
from console.cli.setup import Setup
from console.cli.workload_options import Asked, compose_arguments, tell_problems
from console.fleet.inventory import NodeEntry
from console.fleet.links import stated_owner
from console.fleet.plan_words import plan_lines
from console.rollouts.planning import needs_zones, plan_rollout, requests_for
from console.rollouts.record import Rollout
from console.text import clean, plural

NAMED = 8


@click.command("plan")
@compose_arguments
@json_option
@click.pass_obj
def command(setup: Setup, *, asked: Asked, as_json: bool) -> int:
    """Say which node gets the release of a Compose file in which wave, and what happens there.

    Nothing changes. The nodes and waves stay as they are shown, whatever becomes of labels;
    `roost rollout start` takes the plan's id.
    """
    release = read_release(setup, asked)
    entries, found, strategy = release.entries, release.means, release.strategy
    if tell_problems(found):
        say("there is no plan")
        return 1
    version, requests = requests_for(found)
    answers = ask_nodes(
        setup, entries, lambda entry, client: client.workloads.plan_apply(requests[entry.name])
    )
    said: dict[str, DeployPlan | ProblemError] = {}
    for answer in answers:
        value = answer.value if answer.problem is None else answer.problem
        if value is not None:
            said[answer.entry.name] = value
    rollout = plan_rollout(
        entries,
        said,
        strategy,
        release=found[0].project,
        version=version,
        file=", ".join(map(str, asked.files)),
        owner=stated_owner(),
        zones=_zones(setup, entries) if needs_zones(strategy) else None,
    )
    this_journal().plan(rollout, requests)
    if as_json:
        print_json(rollout)
    else:
        for line in plan_text(rollout, said):
            click.echo(clean(line))
    say(f"nothing has changed. To let it out: roost rollout start {rollout.id}")
    return 0


def _zones(setup: Setup, entries: Sequence[NodeEntry]) -> dict[str, str | None]:
    """Where nodes say that they are; those that do not answer are not in it."""
    answers = ask_nodes(setup, entries, lambda _, client: client.node())
    return {
        answer.entry.name: answer.value.host.timezone
        for answer in answers
        if answer.value is not None
    }


def plan_text(rollout: Rollout, said: Mapping[str, DeployPlan | ProblemError]) -> Sequence[str]:
    """The plan for a person: how it goes out, the waves, what happens, and who cannot take it."""
    lines = [f"rollout {rollout.id}: {rollout.release}, version {rollout.version}"]
    lines += [f"  {line}" for line in strategy_lines(rollout.strategy, len(rollout.nodes))]
    able = [node for node in rollout.nodes if node.stage != "cannot"]
    for wave in range(rollout.waves):
        names = [node.name for node in able if node.wave == wave]
        lines.append(f"wave {wave + 1}, {plural(len(names), 'node')}: {_named(names)}")
    alike: dict[tuple[str, ...], list[str]] = {}
    for node in able:
        alike.setdefault(_on_node(said.get(node.name)), []).append(node.name)
    for words, names in alike.items():
        lines.append(f"{'each node' if len(alike) == 1 else _named(names)}:")
        lines += [f"  {word}" for word in words]
    lines += [
        f"{node.name} cannot take it: {node.why}"
        for node in rollout.nodes
        if node.stage == "cannot"
    ]
    return lines


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _on_node(answer: DeployPlan | ProblemError | None) -> tuple[str, ...]:
    if isinstance(answer, DeployPlan):
        return tuple(map(str, plan_lines(answer)))
    why = "" if answer is None else f": {answer.detail}"
    return (f"does not answer now; it is tried when its turn comes{why}",)
