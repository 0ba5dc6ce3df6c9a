"""Steers all that is open in the journal of this host: `roost rollout runner --all`.

What a killed runner left is gone on with, as soon as the kernel has freed its lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from agent.protocol.problems import ProblemError
from console.rollouts.journal import Journal
from console.rollouts.journal_file import open_shared
from console.rollouts.locks import steering_lock, taken
from console.rollouts.record import UNTOUCHED, Rollout

LOCK = "supervisor.lock"
LOOK_SECONDS = 0.5
# It is through, and owes notices that are not taken, say.
AGAIN_SECONDS = 2.0
# Something of ours is wrong: its fleet.yaml cannot be read, say.
REST_SECONDS = 30.0
# Whoever starts a rollout has a runner of their own; it has so long to begin.
STARTING_SECONDS = 15.0

log = logging.getLogger(__name__)


class Supervision(NamedTuple):
    """The supervisor of a journal that is at work."""

    pid: int
    user: str
    uid: int


def supervision(folder: Path) -> Supervision | None:
    """Who supervises this journal now; None: nobody. Blocks."""
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    with os.fdopen(handle) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            pass
        else:
            return None
        try:
            return Supervision(**json.load(file))
        except (ValueError, TypeError, OSError):
            return Supervision(0, "somebody", -1)  # it has just begun


@contextlib.contextmanager
def supervising(folder: Path, user: str) -> Iterator[None]:
    """Be the one supervisor of this journal. Blocks.

    Raises:
        ProblemError: `rollout.steered`: another one is; `rollout.journal`.
    """
    path = folder / LOCK
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = open_shared(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise ProblemError(
            "rollout.journal", f"{path}: {error.strerror}", hint="May you write there?"
        ) from error
    with os.fdopen(handle, "w") as file:
        if not taken(file.fileno()):
            raise ProblemError(
                "rollout.steered",
                f"another process steers all rollouts in {folder}",
                hint="See it with: systemctl status roost-rollouts",
            )
        file.truncate(0)
        json.dump(Supervision(os.getpid(), user, os.getuid())._asdict(), file)
        file.flush()
        yield
        file.truncate(0)


class Supervisor:
    """For one event loop."""

    def __init__(
        self,
        journal: Journal,
        steer: Callable[[Rollout], Awaitable[object]],
        *,
        user: str,
        look_seconds: float = LOOK_SECONDS,
        starting_seconds: float = STARTING_SECONDS,
    ) -> None:
        """`steer` steers one rollout until it is through, its lock being held. `user` is whose
        rollouts have no runner of their own."""
        self._journal, self._steer, self._user = journal, steer, user
        self._look, self._starting_seconds = look_seconds, starting_seconds
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._rest: dict[str, float] = {}  # until when, by a clock that nobody sets

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                await self._round()
                await asyncio.sleep(self._look)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _round(self) -> None:
        self._tasks = {name: task for name, task in self._tasks.items() if not task.done()}
        try:
            open_ones = await asyncio.to_thread(self._journal.to_steer)
        except ProblemError as problem:
            log.warning("%s; it is tried again", problem.detail)
            await asyncio.sleep(self._look * 10)
            return
        now = time.monotonic()
        for name in sorted(open_ones - self._tasks.keys()):
            if self._rest.get(name, 0.0) <= now:
                self._tasks[name] = asyncio.create_task(self._one(name))

    async def _one(self, rollout_id: str) -> None:
        """One that somebody else steers is left to them."""
        try:
            rollout = await asyncio.to_thread(self._journal.load, rollout_id)
            if self._is_starting(rollout) or await self._is_wished_elsewhere(rollout):
                return
            lock = steering_lock(self._journal.folder, rollout_id)
            with contextlib.ExitStack() as stack:
                await asyncio.to_thread(stack.enter_context, lock)
                log.info("rollout %s (%s) is steered", rollout_id, rollout.release)
                await self._steer(rollout)
                log.info("rollout %s: through", rollout_id)
                self._rest[rollout_id] = time.monotonic() + AGAIN_SECONDS
        except ProblemError as problem:
            if problem.code != "rollout.steered":
                self._pause(rollout_id, problem.detail)
        except Exception:
            # One that cannot be steered keeps no other one up.
            log.exception("rollout %s", rollout_id)
            self._pause(rollout_id, "it was left")

    def _is_starting(self, rollout: Rollout) -> bool:
        """Whether somebody else's runner has not begun yet, and may."""
        return (
            rollout.state == "running"
            and rollout.started_by != self._user
            and time.time() - rollout.since < self._starting_seconds
            and all(node.stage in {*UNTOUCHED, "cannot"} for node in rollout.nodes)
        )

    async def _is_wished_elsewhere(self, rollout: Rollout) -> bool:
        """Whether somebody else has just wished something of one that has ended: their own runner,
        with their keys, may take it."""
        if rollout.wants_runner:
            return False
        wishes = await asyncio.to_thread(self._journal.wishes, rollout.id)
        now = time.time()
        return any(
            each.by != self._user and now - each.at < self._starting_seconds for each in wishes
        )

    def _pause(self, rollout_id: str, why: str) -> None:
        log.warning("rollout %s: %s; it is tried again in %g s", rollout_id, why, REST_SECONDS)
        self._rest[rollout_id] = time.monotonic() + REST_SECONDS
