"""This host's journal of rollouts."""

from __future__ import annotations

import os

import click

from console.rollouts.journal import Journal, journal_folder

rollout_argument = click.argument("rollout_id", metavar="[ROLLOUT]", required=False)


def this_journal() -> Journal:
    """The one that this environment names."""
    return Journal(journal_folder(os.environ))
