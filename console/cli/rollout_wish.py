"""`roost rollout pause|resume|promote|abort|undo|retry`: wishes that the runner takes."""

from __future__ import annotations

import sys

import click

from agent.protocol.problems import ProblemError
from console.cli.consent import consent
from console.cli.nodes import all_nodes
from console.cli.options import yes_option
from console.cli.output import say
from console.cli.rollout_journal import rollout_argument, this_journal
from console.cli.rollout_runner import begin_steering
from console.cli.rollout_watch import watch
from console.cli.setup import Setup
from console.fleet.links import stated_owner
from console.rollouts.effects import TAKES_BACK, check, counted, going_back, tried_again
from console.rollouts.finding import find_rollout
from console.rollouts.locks import locked
from console.rollouts.record import Rollout, Wish


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
    """Let the wave that runs through its gate, or cut its watching at this weight short.

    Where the release wants an approval, that is for somebody who neither planned nor started it:
    another user of this machine.
    """
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
@click.option("--at-once", is_flag=True, help="All nodes together; asks for the release's name.")
@yes_option
@click.pass_obj
def undo(setup: Setup, rollout_id: str | None, *, at_once: bool, yes: bool) -> int:
    """Take back a rollout that has ended: its nodes run again what they ran before.

    No more nodes at a time than may be unavailable, unless --at-once is said.
    """
    return _wish(setup, rollout_id, "undo-at-once" if at_once else "undo", yes=yes)


@click.command("retry")
@rollout_argument
@yes_option
@click.pass_obj
def retry(setup: Setup, rollout_id: str | None, *, yes: bool) -> int:
    """Try the nodes again that do not run it: offline, gone back, refused, skipped.

    Not where a newer rollout has brought another version: plan the release anew for that.
    """
    return _wish(setup, rollout_id, "retry", yes=yes)


def _wish(setup: Setup, rollout_id: str | None, wish: Wish, *, yes: bool = True) -> int:
    setup.refuse_changes(f"rollout {wish}")
    journal = this_journal()
    rollout = find_rollout(journal, rollout_id)
    check(rollout, wish, by=stated_owner())
    if wish == "retry":
        _consent(setup, tried_again(rollout), rollout, wish, yes=yes)
    elif wish in TAKES_BACK:
        _ask(setup, rollout, wish, yes=yes)
    told = max((number for number, _ in journal.events(rollout.id)), default=0)
    journal.wish(rollout.id, wish, by=stated_owner())
    if not locked(journal.folder, rollout.id):
        begin_steering(setup, journal, rollout.id)
    say(f"{wish}: told to the runner of {rollout.id}")
    if wish in TAKES_BACK or wish == "retry":
        return watch(journal, rollout.id, after=told)
    return 0


def _ask(setup: Setup, rollout: Rollout, wish: Wish, *, yes: bool) -> None:
    """Say what goes back, with counts, and ask where production is touched, or all at once."""
    for line in counted(rollout, wish):
        say(line)
    names = going_back(rollout, wish)
    if wish == "undo-at-once":
        _ask_name(rollout)
    _consent(setup, names, rollout, wish, yes=yes)


def _consent(setup: Setup, names: set[str], rollout: Rollout, wish: Wish, *, yes: bool) -> None:
    touched = [entry for entry in all_nodes(setup) if entry.name in names]
    consent(touched, f"{wish} rollout {rollout.id}", yes=yes)


def _ask_name(rollout: Rollout) -> None:
    """Raises ProblemError `console.terminal`, `console.usage`."""
    if not sys.stdin.isatty():
        raise ProblemError(
            "console.terminal",
            "all nodes at once is for a person to confirm, and nobody can be asked here",
            hint="Without --at-once they go back a few at a time.",
        )
    typed = click.prompt(
        f"All of them are away together. Type the release's name, {rollout.release}",
        err=True,
        default="",
        show_default=False,
    )
    if typed.strip() != rollout.release:
        raise ProblemError(
            "console.usage",
            "that is not the release's name, so nothing was done",
            hint="Run the command again.",
        )
