"""`roost rollout pause|resume|promote|abort|undo|retry`: wishes that the runner takes."""

from __future__ import annotations

import click

from agent.protocol.problems import ProblemError
from console.cli.consent import consent
from console.cli.nodes import all_nodes
from console.cli.options import yes_option
from console.cli.output import say
from console.cli.rollout_journal import find_rollout, rollout_argument, this_journal
from console.cli.rollout_runner import start_runner
from console.cli.rollout_watch import watch
from console.cli.setup import Setup
from console.fleet.links import stated_owner
from console.rollouts.record import UNCONFIRMED, Rollout, Wish
from console.rollouts.runner import locked
from console.rollouts.steering import why_not
from console.text import plural


@click.command("pause")
@rollout_argument
@click.pass_obj
def pause(setup: Setup, rollout_id: str | None) -> int:
    """Begin on no more nodes. Those that have begun stay watched, and nothing goes back."""
    return _wish(setup, rollout_id, "pause")


@click.command("resume")
@rollout_argument
@click.pass_obj
def resume(setup: Setup, rollout_id: str | None) -> int:
    """Go on with a rollout that is paused. Failures so far are taken as seen."""
    return _wish(setup, rollout_id, "resume")


@click.command("promote")
@rollout_argument
@click.pass_obj
def promote(setup: Setup, rollout_id: str | None) -> int:
    """Let the wave that runs through its gate, or cut its watching short."""
    return _wish(setup, rollout_id, "promote")


@click.command("abort")
@rollout_argument
@click.option("--all", "all_nodes_too", is_flag=True, help="Nodes that are done go back as well.")
@yes_option
@click.pass_obj
def abort(setup: Setup, rollout_id: str | None, *, all_nodes_too: bool, yes: bool) -> int:
    """End a rollout. What is not confirmed goes back at once, what is done stays."""
    return _wish(setup, rollout_id, "abort-all" if all_nodes_too else "abort", yes=yes)


@click.command("undo")
@rollout_argument
@yes_option
@click.pass_obj
def undo(setup: Setup, rollout_id: str | None, *, yes: bool) -> int:
    """Take back a rollout that has ended: its nodes run again what they ran before."""
    return _wish(setup, rollout_id, "undo", yes=yes)


@click.command("retry")
@rollout_argument
@click.pass_obj
def retry(setup: Setup, rollout_id: str | None) -> int:
    """Try the nodes again that do not run it: offline, gone back, refused, skipped."""
    return _wish(setup, rollout_id, "retry")


def _wish(setup: Setup, rollout_id: str | None, wish: Wish, *, yes: bool = True) -> int:
    setup.refuse_changes(f"rollout {wish}")
    journal = this_journal()
    rollout = find_rollout(journal, rollout_id)
    if refusal := why_not(rollout, wish):
        raise ProblemError(
            "rollout.state",
            f"rollout {rollout.id}: {refusal}",
            params={"rollout": rollout.id, "state": rollout.state},
            hint=f"roost rollout status {rollout.id}",
        )
    if wish in ("abort", "abort-all", "undo"):
        _ask(setup, rollout, wish, yes=yes)
    told = max((number for number, _ in journal.events(rollout.id)), default=0)
    journal.wish(rollout.id, wish, by=stated_owner())
    if not locked(journal.folder, rollout.id):
        start_runner(setup, journal, rollout.id)
    say(f"{wish}: told to the runner of {rollout.id}")
    if wish in ("abort", "abort-all", "undo", "retry"):
        return watch(journal, rollout.id, after=told)
    return 0


def _ask(setup: Setup, rollout: Rollout, wish: Wish, *, yes: bool) -> None:
    """Say what goes back, with counts, and ask where production is touched."""
    done = sum(node.stage == "done" and node.deployment is not None for node in rollout.nodes)
    begun = sum(node.stage in UNCONFIRMED for node in rollout.nodes)
    stays = wish == "abort"
    say(
        f"{plural(begun, 'node')} not confirmed {'goes' if begun == 1 else 'go'} back at once,"
        f" {plural(done, 'node')} that {'is' if done == 1 else 'are'} done"
        f" {'stay as they are' if stays else 'go back a few at a time'}"
    )
    names = {
        node.name
        for node in rollout.nodes
        if node.stage in UNCONFIRMED or (node.stage == "done" and not stays)
    }
    touched = [entry for entry in all_nodes(setup) if entry.name in names]
    consent(touched, f"{wish} rollout {rollout.id}", yes=yes)
