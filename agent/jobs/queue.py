"""Which job runs when: as many of a kind as it allows, one for each thing touched, in turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.jobs import refusals
from agent.jobs.entry import Entry
from agent.jobs.kind import JobKind
from agent.jobs.locks import Held, Locks
from agent.jobs.run import Run
from agent.protocol.problems import ProblemError

# Part of what systemd gives the agent (90 s) before it kills it.
STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that may run when it is its turn."""

    entry: Entry
    kind: JobKind[Any]
    keys: frozenset[str]


def tell_ended(kind: JobKind[Any], entry: Entry) -> None:
    """Let go of what was asked, and the kind put away what it keeps for a job."""
    entry.request = None
    try:
        kind.ended(entry.job())
    except Exception:
        log.exception("after job %s (%s)", entry.id, kind.name)


class Queue:
    """Jobs that wait and jobs that run. A job that ends lets others begin."""

    def __init__(self, clock: Callable[[], float], on_change: Callable[[], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._waiting: dict[str, Waiting] = {}  # in turn
        self._runs: dict[str, Run[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks = Locks()
        self._stopping = False
        self._held: str | None = None  # why none begins

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def put(self, waiting: Waiting) -> None:
        """Let a job run when it is its turn; `look` begins."""
        self._waiting[waiting.entry.id] = waiting

    def take(self, job: str) -> Waiting | None:
        """Take a job out before it begins; None where it does not wait."""
        return self._waiting.pop(job, None)

    def put_back(self, waiting: Waiting) -> None:
        """Undo `take`: it is the first again."""
        self._waiting = {waiting.entry.id: waiting, **self._waiting}
        self.look()

    def run_of(self, job: str) -> Run[Any] | None:
        """The run of a job, from when it begins until its end is on disk."""
        return self._runs.get(job)

    def look(self) -> None:
        """Begin what can begin, and have the others say what they wait for."""
        if self._stopping:
            return
        wanted: dict[str, Entry] = {}  # by jobs that have waited longer
        for waiting in list(self._waiting.values()):
            entry, id_ = waiting.entry, waiting.entry.id
            reason = self._held or self._full(waiting.kind)
            earlier = [wanted[key] for key in sorted(waiting.keys) if key in wanted]
            if reason is None and earlier:
                reason = f"waits behind {refusals.described(earlier[0].job())}"
            if reason is None:
                held = self._locks.take(waiting.keys, id_)
                reason = None if held is None else "waits: " + self._refusal(held).detail
            if reason is None:
                del self._waiting[id_]
                self._begin(waiting)
            else:
                wanted.update(dict.fromkeys(waiting.keys - wanted.keys(), entry))
            if entry.waits != reason:
                entry.waits = reason
                self._on_change()

    def hold(self, why: str | None) -> None:
        """Begin none; they say why they wait. None: go on."""
        self._held = why
        self.look()

    def running(self) -> list[tuple[Entry, JobKind[Any]]]:
        """All that runs, with its kind."""
        return [(run.entry, run.kind) for run in self._runs.values()]

    async def stop(self) -> None:
        """Cancel what runs, and wait a moment until it is written how that ended."""
        self._stopping = True
        for run in self._runs.values():
            run.end("stop")
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _begin(self, waiting: Waiting) -> None:
        entry = waiting.entry
        run = Run(
            entry,
            waiting.kind,
            locks=self._locks,
            refusal=self._refusal,
            on_release=self.look,
            clock=self._clock,
        )
        self._runs[entry.id] = run
        task = asyncio.create_task(self._see_through(run), name=f"run of job {entry.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, run: Run[Any]) -> None:
        try:
            await run.run()
        except Exception:
            log.exception("the run of job %s failed", run.entry.id)
        finally:
            del self._runs[run.entry.id]
            self._locks.release_all(run.entry.id)
            if run.entry.ended:
                tell_ended(run.kind, run.entry)
            self.look()

    def _full(self, kind: JobKind[Any]) -> str | None:
        running = [run for run in self._runs.values() if run.kind is kind]
        if kind.at_once is None or len(running) < kind.at_once:
            return None
        return f"waits for {refusals.described(running[0].entry.job())}"

    def _refusal(self, held: Held) -> ProblemError:
        return refusals.locked(held.key, self._runs[held.holder].entry.job())
