"""`roost rollout start|runner`."""

from __future__ import annotations

import logging

import click

from agent.protocol.problems import ProblemError
from console.cli.as_runner import refusing_runner
from console.cli.consent import consent
from console.cli.nodes import all_nodes
from console.cli.options import yes_option
from console.cli.output import say
from console.cli.rollout_journal import this_journal
from console.cli.rollout_runner import begin_steering, steer, steer_all
from console.cli.rollout_watch import watch
from console.cli.setup import Setup
from console.fleet.links import stated_owner
from console.rollouts.finding import find_rollout
from console.rollouts.journal import Journal
from console.rollouts.record import Rollout
from console.rollouts.words import count_words, state_words, unsteered_lines

NAMED = 5


@click.command("start")
@click.argument("rollout_id", metavar="ROLLOUT")
@click.option("--attached", is_flag=True, help="Steer it in this process; it ends with it.")
@click.option("--detach", is_flag=True, help="Do not look on.")
@yes_option
@click.pass_obj
def start(setup: Setup, rollout_id: str, *, attached: bool, detach: bool, yes: bool) -> int:
    """Let the release of a plan out, wave by wave.

    A process of its own steers it, which goes on when you log out. What is not confirmed by it
    goes back by itself.
    """
    setup.refuse_changes("rollout start")
    journal = this_journal()
    rollout = find_rollout(journal, rollout_id)
    return let_out(setup, journal, rollout, attached=attached, detach=detach, yes=yes)


def let_out(
    setup: Setup, journal: Journal, rollout: Rollout, *, attached: bool, detach: bool, yes: bool
) -> int:
    """What `roost rollout start` does; its exit code.

    Raises:
        ProblemError: `rollout.*`, `fleet.*`, `console.*`, and why its runner would not get through.
    """
    names = {node.name for node in rollout.nodes if node.stage == "planned"}
    entries = [entry for entry in all_nodes(setup) if entry.name in names]
    gone = sorted(names - {entry.name for entry in entries})
    if gone:
        raise ProblemError(
            "rollout.nodes_gone",
            f"fleet.yaml has {', '.join(gone[:NAMED])} no more",
            params={"nodes": gone},
            hint="Plan again.",
        )
    planned_at = {node.name: node.address for node in rollout.nodes}
    moved = [each for each in entries if planned_at[each.name] not in ("", each.address)]
    if moved:
        raise ProblemError(
            "rollout.nodes_gone",
            f"fleet.yaml has {moved[0].name} at {moved[0].address}, and it was planned at"
            f" {planned_at[moved[0].name]}",
            params={"nodes": [each.name for each in moved]},
            hint="Plan again.",
        )
    if not attached and (problem := refusing_runner(setup, entries)) is not None:
        raise problem
    consent(entries, f"roll out {rollout.release}", yes=yes)
    journal.begin(rollout.id, by=stated_owner())
    if attached:
        return _conclude(steer(setup, journal, rollout.id, stands=False))
    say(begin_steering(setup, journal, rollout.id))
    return 0 if detach else watch(journal, rollout.id)


@click.command("runner")
@click.argument("rollout_id", metavar="[ROLLOUT]", required=False)
@click.option("--all", "all_of_them", is_flag=True, help="All that are open, and those to come.")
@click.pass_obj
def runner(setup: Setup, rollout_id: str | None, *, all_of_them: bool) -> int:
    """Steer a rollout in this process, from where it is, until it ends.

    With --all, whatever is open in this host's journal is steered, several at once, until somebody
    ends this process; what a killed runner left is gone on with. roost-rollouts.service keeps such
    a process.
    """
    setup.refuse_changes("rollout runner")
    journal = this_journal()
    if (rollout_id is None) == (not all_of_them):
        raise ProblemError(
            "console.usage",
            "nobody said which rollout" if rollout_id is None else "--all takes no rollout",
            hint="roost rollout runner ROLLOUT, or roost rollout runner --all",
        )
    if all_of_them:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        steer_all(setup, journal)
        return 0
    rollout = find_rollout(journal, rollout_id)
    if rollout.state == "planned":
        raise ProblemError(
            "rollout.state",
            f"rollout {rollout.id} was not started",
            hint=f"roost rollout start {rollout.id}",
        )
    return _conclude(steer(setup, journal, rollout.id))


def _conclude(rollout: Rollout) -> int:
    why = f", {rollout.why}" if rollout.why else ""
    say(f"{state_words(rollout)}{why}: {count_words(rollout)}")
    for line in unsteered_lines(rollout, steered=False):
        say(line)
    return 0 if rollout.went_well else 1
