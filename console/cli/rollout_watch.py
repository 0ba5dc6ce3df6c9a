"""`roost rollout watch`: what happens, as it happens."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from console.cli.output import say
from console.cli.rollout_journal import rollout_argument, this_journal
from console.rollouts.finding import find_rollout
from console.rollouts.journal import Journal
from console.rollouts.locks import locked
from console.rollouts.record import ENDED, State
from console.rollouts.words import count_words, event_line, state_words, unsteered_lines
from console.text import clean

LOOK_SECONDS = 0.5
# A runner that was just started has its lock after this.
STARTING_SECONDS = 15.0
# What a person who looks on can do where a person is waited for.
ASKS: Mapping[State, str] = {
    "gate": "roost rollout promote {0} lets it through, roost rollout abort {0} takes it back",
    "paused": "roost rollout resume {0} goes on with it, roost rollout abort {0} takes it back",
}


@click.command("watch")
@rollout_argument
def command(rollout_id: str | None) -> int:
    """Print what happens in a rollout, until it ends. Without an id: the newest.

    Ctrl+C ends the looking on, not the rollout. The exit code is 0 where it is done.
    """
    journal = this_journal()
    return watch(journal, find_rollout(journal, rollout_id).id)


def watch(journal: Journal, rollout_id: str, *, after: int = 0) -> int:
    """Print events, those with numbers over `after`, until the rollout has ended; the exit code."""
    told, steered_at, asked_at = after, time.monotonic(), 0.0
    try:
        while True:
            # Before the rest: what is taken is written together with what came of it.
            waits = journal.wishes(rollout_id)
            rollout = journal.load(rollout_id)
            for number, event in journal.events(rollout_id, after=told):
                click.echo(clean(event_line(event)))
                told = number
            if rollout.state in ASKS and rollout.since != asked_at:
                asked_at = rollout.since
                say(f"hint: {ASKS[rollout.state].format(rollout_id)}")
            if rollout.state == "planned" or (rollout.state in ENDED and not waits):
                say(f"{state_words(rollout)}: {count_words(rollout)}")
                return 0 if rollout.went_well else 1
            if locked(journal.folder, rollout_id):
                steered_at = time.monotonic()
            elif time.monotonic() - steered_at > STARTING_SECONDS:
                for line in unsteered_lines(rollout, steered=False):
                    say(line)
                return 1
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        say(f"stopped looking on. It goes on: roost rollout watch {rollout_id}")
        raise
