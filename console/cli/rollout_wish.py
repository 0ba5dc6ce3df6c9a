"""`roost rollout pause|resume|promote|abort|undo|retry`: wishes that the runner takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from agent.protocol.problems import ProblemError
from console.cli.consent import consent
from console.cli.nodes import all_nodes
from console.cli.options import yes_option
from console.cli.output import say
from console.cli.rollout_journal import find_rollout, rollout_argument, this_journal
from console.cli.rollout_runner import begin_steering
from console.cli.rollout_watch import watch
from console.cli.setup import Setup
from console.fleet.links import stated_owner
from console.rollouts.record import UNCONFIRMED, UNTOUCHED, Rollout, Wish
from console.rollouts.runner import locked
from console.rollouts.wishes import why_not
from console.text import plural

_BACK: tuple[Wish, ...] = ("abort", "abort-all", "undo", "undo-at-once")


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
@click.pass_obj
def retry(setup: Setup, rollout_id: str | None) -> int:
    """Try the nodes again that do not run it: offline, gone back, refused, skipped."""
    return _wish(setup, rollout_id, "retry")


def _wish(setup: Setup, rollout_id: str | None, wish: Wish, *, yes: bool = True) -> int:
    setup.refuse_changes(f"rollout {wish}")
    journal = this_journal()
    rollout = find_rollout(journal, rollout_id)
    if refusal := why_not(rollout, wish, stated_owner()):
        raise ProblemError(
            "rollout.state",
            f"rollout {rollout.id}: {refusal}",
            params={"rollout": rollout.id, "state": rollout.state},
            hint=f"roost rollout status {rollout.id}",
        )
    if wish in _BACK:
        _ask(setup, rollout, wish, yes=yes)
    told = max((number for number, _ in journal.events(rollout.id)), default=0)
    journal.wish(rollout.id, wish, by=stated_owner())
    if not locked(journal.folder, rollout.id):
        begin_steering(setup, journal, rollout.id)
    say(f"{wish}: told to the runner of {rollout.id}")
    if wish in _BACK or wish == "retry":
        return watch(journal, rollout.id, after=told)
    return 0


def _ask(setup: Setup, rollout: Rollout, wish: Wish, *, yes: bool) -> None:
    """Say what goes back, with counts, and ask where production is touched, or all at once."""
    stays = wish == "abort"
    for line in _counted(rollout, wish):
        say(line)
    names = {
        node.name
        for node in rollout.nodes
        if node.stage in UNCONFIRMED or (node.stage == "done" and not stays)
    }
    if wish == "undo-at-once":
        _ask_name(rollout)
    touched = [entry for entry in all_nodes(setup) if entry.name in names]
    consent(touched, f"{wish} rollout {rollout.id}", yes=yes)


def _counted(rollout: Rollout, wish: Wish) -> Iterator[str]:
    begun = sum(node.stage in UNCONFIRMED for node in rollout.nodes)
    untouched = sum(node.stage in UNTOUCHED for node in rollout.nodes)
    done = sum(node.stage == "done" and node.deployment is not None for node in rollout.nodes)
    before = sum(node.stage == "done" and node.deployment is None for node in rollout.nodes)
    if begun or not wish.startswith("undo"):
        goes = "goes" if begun == 1 else "go"
        yield f"{plural(begun, 'node')} not confirmed {goes} back at once"
    if untouched:
        yield f"{plural(untouched, 'node')} that nothing was changed on {_is(untouched)} left out"
    if wish == "abort":
        becomes = "stays as it is" if done == 1 else "stay as they are"
    else:
        goes = "goes" if done == 1 else "go"
        most = rollout.strategy.at_once(len(rollout.nodes))
        how = "all at once" if wish == "undo-at-once" else f"at most {most} at a time"
        becomes = f"{goes} back, {how}"
    yield f"{plural(done, 'node')} that {_is(done)} done {becomes}"
    if before:
        yield f"{plural(before, 'node')} that ran it before the rollout {_is(before)} left alone"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


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
