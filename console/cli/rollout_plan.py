"""`roost rollout plan`: waves, and what would happen on each node."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from agent.protocol.problems import Problem, ProblemError
from console.cli.as_runner import warning
from console.cli.nodes import fleet_file
from console.cli.options import json_option
from console.cli.output import print_json, say, width
from console.cli.release_reading import archive_option, read_release, read_supplies
from console.cli.rollout_journal import this_journal
from console.cli.rollout_plan_text import plan_text
from console.cli.run import ask_nodes
from console.cli.setup import Setup
from console.cli.workload_options import Asked, compose_arguments, tell_problems
from console.fleet.links import stated_owner
from console.rollouts.needed_engines import with_times
from console.rollouts.needs import Look, NodeNeeds, look_at
from console.rollouts.parcels import remembered
from console.rollouts.planning import plan_rollout, requests_for, with_measures
from console.rollouts.record import Rollout
from console.rollouts.unjudged import unjudged_lines
from console.text import clean


class PlanRecord(msgspec.Struct, kw_only=True):
    """As `--json` prints it: of each node what it needs, or why it said nothing."""

    id: str
    rollout: Rollout
    needs: dict[str, NodeNeeds]
    silent: dict[str, Problem]
    unjudged: list[str]  # what of it no proxy sees, so that a person is asked; and what to do


@click.command("plan")
@compose_arguments
@archive_option
@click.option("--steps", is_flag=True, help="What happens in turn, also where many nodes differ.")
@json_option
@click.pass_obj
def command(
    setup: Setup, *, asked: Asked, archives: tuple[Path, ...], steps: bool, as_json: bool
) -> int:
    """Say which node gets the release of a Compose file in which wave, and what happens there.

    Nothing changes. The nodes and waves stay as they are shown, whatever becomes of labels;
    `roost rollout start` takes the plan's id.

    Images that a node lacks are sent from the archives before anything changes there, and engines
    are built that the release says how to build. A node that lacks an image which no archive has
    cannot take the release.

    \b
      roost rollout plan app.yaml --to site=plant-7
      roost rollout plan app.yaml --archive app-2.tar --to 'gpu!=orin'
    """
    release = read_release(setup, asked)
    entries, found = release.entries, release.means
    if tell_problems(found):
        say("there is no plan")
        return 1
    supplies = read_supplies(setup, archives)
    version, requests = requests_for(found, release.strategy)
    asked_for = {
        name: with_measures(request, release.strategy.analysis)
        for name, request in requests.items()
    }
    answers = ask_nodes(
        setup, entries, lambda entry, client: look_at(client, asked_for[entry.name], supplies)
    )
    looks = {each.entry.name: each.value for each in answers if each.value is not None}
    with_earlier(looks)
    said: dict[str, NodeNeeds | ProblemError] = {
        **{name: look.needs for name, look in looks.items()},
        **{each.entry.name: each.problem for each in answers if each.problem is not None},
    }
    rollout = plan_rollout(
        entries,
        said,
        release.strategy,
        release=found[0].project,
        version=version,
        file=", ".join(map(str, asked.files)),
        owner=stated_owner(),
        zones={name: look.zone for name, look in looks.items()},
        fleet=fleet_path(setup),
        archives=[remembered(each) for each in supplies.parcels.archives] if supplies else [],
    )
    this_journal().plan(rollout, requests)
    notes = unjudged_lines(release.strategy.analysis, found)
    if as_json:
        print_json(_record(rollout, said, notes))
    else:
        for line in plan_text(rollout, said, limit=width(), steps=steps, notes=notes):
            click.echo(clean(line))
    for line in warning(setup, [entry for entry in entries if entry.name in looks]):
        say(line)
    say(f"nothing has changed. To let it out: roost rollout start {rollout.id}")
    return 0


def with_earlier(looks: dict[str, Look]) -> None:
    """Say of each engine that is to be built how long that took before."""
    with_times(
        {name: look.needs.builds for name, look in looks.items()},
        {name: look.engines for name, look in looks.items()},
        {name: look.gpus for name, look in looks.items()},
    )


def fleet_path(setup: Setup) -> str:
    """The fleet.yaml that a runner goes by; "": this machine alone."""
    path = fleet_file(setup)
    return str(path.absolute()) if path.exists() else ""


def _record(
    rollout: Rollout, said: dict[str, NodeNeeds | ProblemError], unjudged: list[str]
) -> PlanRecord:
    return PlanRecord(
        id=rollout.id,
        rollout=rollout,
        needs={name: each for name, each in said.items() if isinstance(each, NodeNeeds)},
        silent={
            name: each.problem() for name, each in said.items() if isinstance(each, ProblemError)
        },
        unjudged=unjudged,
    )
