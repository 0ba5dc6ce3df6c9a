"""Runs a rollout's runner: in this process, or in one of its own that outlives the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from agent.rules.tables import read_tables
from console.cli.image_options import cache_folder, verified_cache
from console.cli.nodes import all_nodes, fleet_file
from console.cli.run import links
from console.cli.setup import Setup
from console.fleet.links import stated_owner
from console.images.judging import TABLES_FILE
from console.images.vetting import Vetting
from console.rollouts.agent_work import as_planned, bringing
from console.rollouts.journal import Journal
from console.rollouts.journal_file import open_shared
from console.rollouts.ledger import RUNNER
from console.rollouts.locks import locked, steering_lock
from console.rollouts.needs import Supplies
from console.rollouts.notifier import LAST_SECONDS, Notifier, with_notices
from console.rollouts.preparing import Preparer
from console.rollouts.record import Event, Rollout
from console.rollouts.runner import Runner
from console.rollouts.supervisor import Supervisor, supervising, supervision
from console.rollouts.supplies import read_supplies

TAKES_TRIES = 50
START = "from console.cli.main import main; main()"


def rollout_command(setup: Setup) -> list[str]:
    """`roost rollout` as a program of its own, with the fleet of this one."""
    path = fleet_file(setup)
    fleet = ["--fleet", str(path)] if path.exists() else []
    return [sys.executable, "-c", START, *fleet, "rollout"]


def start_runner(setup: Setup, journal: Journal, rollout_id: str) -> int:
    """Start one that goes on when this process and its terminal end; its process id.

    It has no agent for ssh keys: that would end with the login.
    """
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    path_of_log = journal.folder / f"{rollout_id}.log"
    with os.fdopen(open_shared(path_of_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as log:
        process = subprocess.Popen(
            [*rollout_command(setup), "runner", rollout_id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    return process.pid


def begin_steering(setup: Setup, journal: Journal, rollout_id: str) -> str:
    """See that somebody steers it: this journal's supervisor, if that is ours; else a runner of its
    own. What that means is the answer."""
    there = supervision(journal.folder)
    if there is not None and there.uid == os.getuid():
        for _ in range(TAKES_TRIES):
            if locked(journal.folder, rollout_id):
                return f"the supervisor (process {there.pid}) steers it, also after a restart"
            time.sleep(0.1)
    start_runner(setup, journal, rollout_id)
    if there is not None:
        return f"started. If its runner ends too early, the supervisor of {there.user} goes on"
    told = (
        "started. Nobody restarts its runner. If this machine restarts, go on with it:"
        f" roost rollout runner {rollout_id}"
    )
    if journal.load(rollout_id).strategy.notify:
        told += f"\nNotices that are not taken {LAST_SECONDS:g} s after its end wait for that, too."
    return told


def steer(setup: Setup, journal: Journal, rollout_id: str, *, stands: bool = True) -> Rollout:
    """Steer it here, until it has ended; with `stands`, until no node may catch up any more.

    Raises:
        ProblemError: `rollout.*`, `settings.*`.
    """
    runner = runner_of(setup, journal, journal.load(rollout_id), stands=stands)
    with steering_lock(journal.folder, rollout_id):
        return asyncio.run(_steered(runner, Notifier(journal, rollout_id, os.environ)))


def steer_all(setup: Setup, journal: Journal) -> None:
    """Steer all that is open, until somebody ends this process.

    Raises:
        ProblemError: `rollout.steered`: another one does; `rollout.journal`.
    """
    owner = stated_owner()

    async def one(rollout: Rollout) -> Rollout:
        runner = await asyncio.to_thread(runner_of, setup, journal, rollout)
        return await _steered(runner, Notifier(journal, rollout.id, os.environ))

    async def all_of_them() -> None:
        supervisor = asyncio.create_task(Supervisor(journal, one, user=owner).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, supervisor.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await supervisor

    with supervising(journal.folder, owner):
        asyncio.run(all_of_them())


def runner_of(setup: Setup, journal: Journal, rollout: Rollout, *, stands: bool = True) -> Runner:
    """Its runner, with the fleet that it was planned with; where that cannot be read, with this
    one's, which is noted. Blocks.

    Raises:
        ProblemError: `settings.*`, `fleet.empty`, `rollout.journal`.
    """
    if rollout.fleet and os.access(rollout.fleet, os.R_OK):
        setup = setup._replace(fleet_file=Path(rollout.fleet))
    elif (other := fleet_file(setup).absolute()).exists():
        _note_other_fleet(journal, rollout, str(other))
    entries = {entry.name: entry for entry in all_nodes(setup)}
    return Runner(
        journal,
        rollout.id,
        entries=entries,
        client=partial(links(setup).client, admin=bool(rollout.kits)),
        preparer=preparer_of(setup, rollout),
        stands=stands,
    )


def _note_other_fleet(journal: Journal, rollout: Rollout, other: str) -> None:
    """Once each: nodes that it has at other addresses are not asked for anything."""
    planned = f"{rollout.fleet} cannot be read" if rollout.fleet else "it was planned without one"
    why = f"{planned}; nodes whose address is another one there are not asked"
    what = f"steered by {other}"
    if not any((each.what, each.why) == (what, why) for _, each in journal.events(rollout.id)):
        event = Event(at=time.time(), by=RUNNER, what=what, why=why)
        journal.note(rollout.id, event)


async def _steered(runner: Runner, notifier: Notifier) -> Rollout:
    return await with_notices(runner.run(), notifier)


def preparer_of(setup: Setup, rollout: Rollout) -> Preparer:
    """Who brings the images of its archives to nodes, and has engines built there."""
    if rollout.kits:
        return Preparer(
            rollout.id, bring=bringing({kit.arch: kit for kit in rollout.kits}, as_planned)
        )
    if not rollout.archives:
        return Preparer(rollout.id)

    def read() -> Supplies:
        return read_supplies(
            rollout.archives,
            caches=cache_folder(),
            tables=read_tables(fleet_file(setup).parent / TABLES_FILE),
        )

    return Preparer(rollout.id, read=read, vetting=Vetting(verified_cache()))
