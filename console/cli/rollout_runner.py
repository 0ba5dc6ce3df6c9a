"""Runs a rollout's runner: in this process, or in one of its own that outlives the terminal."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from agent.rules.tables import read_tables
from console.cli.image_options import cache_folder, verified_cache
from console.cli.nodes import all_nodes, fleet_file
from console.cli.run import links
from console.cli.setup import Setup
from console.fleet.links import Links
from console.images.judging import TABLES_FILE
from console.images.vetting import Vetting
from console.rollouts.journal import Journal
from console.rollouts.journal_file import open_shared
from console.rollouts.needs import Supplies
from console.rollouts.notifier import Notifier, with_notices
from console.rollouts.preparing import Preparer
from console.rollouts.record import Rollout
from console.rollouts.runner import Runner, steering_lock
from console.rollouts.supplies import read_supplies

START = "from console.cli.main import main; main()"


def start_runner(setup: Setup, journal: Journal, rollout_id: str) -> int:
    """Start one that goes on when this process and its terminal end; its process id.

    It has no agent for ssh keys: that would end with the login.
    """
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    path = fleet_file(setup)
    fleet = ["--fleet", str(path)] if path.exists() else []
    path_of_log = journal.folder / f"{rollout_id}.log"
    with os.fdopen(open_shared(path_of_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *fleet, "rollout", "runner", rollout_id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    return process.pid


def steer(setup: Setup, journal: Journal, rollout_id: str, *, stands: bool = True) -> Rollout:
    """Steer it here, until it has ended; with `stands`, until no node may catch up any more.

    Raises:
        ProblemError: `rollout.*`, `settings.*`.
    """
    entries = {entry.name: entry for entry in all_nodes(setup)}
    ways: Links = links(setup)
    preparer = preparer_of(setup, journal.load(rollout_id))
    runner = Runner(
        journal,
        rollout_id,
        entries=entries,
        client=ways.client,
        preparer=preparer,
        stands=stands,
    )
    with steering_lock(journal.folder, rollout_id):
        return asyncio.run(_steered(runner, Notifier(journal, rollout_id, os.environ)))


async def _steered(runner: Runner, notifier: Notifier) -> Rollout:
    return await with_notices(runner.run(), notifier)


def preparer_of(setup: Setup, rollout: Rollout) -> Preparer:
    """Who brings the images of its archives to nodes, and has engines built there."""
    if not rollout.archives:
        return Preparer(rollout.id)

    def read() -> Supplies:
        return read_supplies(
            rollout.archives,
            caches=cache_folder(),
            tables=read_tables(fleet_file(setup).parent / TABLES_FILE),
        )

    return Preparer(rollout.id, read=read, vetting=Vetting(verified_cache()))
