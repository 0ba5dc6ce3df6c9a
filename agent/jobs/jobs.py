"""All jobs of a node: taken, run, ended, kept for a while."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar, cast

import msgspec

from agent.jobs import refusals
from agent.jobs.entry import Entry, Record
from agent.jobs.finishing import finish
from agent.jobs.job_store import JobKey, JobStore, StoredJob
from agent.jobs.kind import JobKind
from agent.jobs.queue import Queue, Waiting, tell_ended
from agent.jobs.recovery import Ended, recover
from agent.jobs.retention import to_forget
from agent.protocol.decoding import from_json
from agent.protocol.jobs import Job, JobLogLine, JobState
from agent.protocol.problems import ProblemError
from agent.store.database import Database

# A console that asks on and on must not fill the disk.
QUEUED_LIMIT = 100
# Ended jobs in the live picture: a screenful. `newest` has all.
LIVE_ENDED = 20
ID_BYTES = 6
# People type the start of an id.
SHORTEST_START = 4

R = TypeVar("R", bound=msgspec.Struct)

log = logging.getLogger(__name__)


class Jobs:
    """The jobs of one node.

    `register` every kind, then `start`. What `submit`, `cancel` and `retry` answer is on disk.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` is Unix seconds, for what people are told; deadlines do not go by it."""
        self._store = JobStore(database)
        self._clock = clock
        self._kinds: dict[str, JobKind[Any]] = {}
        self._entries: dict[str, Entry] = {}  # oldest first
        self._keys: dict[str, JobKey] = {}
        self._queue = Queue(clock, self._changed)
        self._submitting = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []
        # A simulated node begins without any, and costs nothing.
        self._ready = self._store.empty
        self._refusal = refusals.not_ready()  # until it is

    def register(self, kind: JobKind[Any]) -> None:
        """Have jobs of this kind done; before `start`, so that old ones find it."""
        if kind.name in self._kinds:
            raise ValueError(f"{kind.name} is registered already")
        self._kinds[kind.name] = kind

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call it at each change of a state or a stage; who wants progress looks by itself."""
        self._listeners.append(callback)

    async def start(self) -> None:
        """Go on where a former agent ended. It may be called again where that failed.

        Raises:
            ProblemError: `store.*`, as everything else does until it succeeds.
        """
        if self._ready:
            return
        try:
            await self._go_on()
        except ProblemError as problem:
            self._refusal = problem
            raise
        self._ready = True
        self._queue.look()
        self._changed()

    async def stop(self) -> None:
        """End what runs: what is resumable goes on at the next start."""
        self._ready = False
        await self._queue.stop()
        for entry in self._entries.values():
            await entry.log.flush()

    async def submit(
        self,
        kind: str,
        request: msgspec.Struct,
        *,
        owner: str,
        key: str | None = None,
        parent: str | None = None,
    ) -> Job:
        """A new job, or the one that the same `key` asked for before, also in a former agent.

        Where the kind says `joins`, a request of the same identity that is still under way is that
        job, and what the kind makes of both is what it is asked for from then on.

        Args:
            owner: who asked, for people.
            key: the Idempotency-Key.
            parent: the job that it retries, or is a part of.

        Raises:
            ProblemError: `job.key_reused`, `job.queue_full`, `node.not_ready`, `store.*`.
        """
        return await finish(self._submit(self._kinds[kind], request, owner, key, parent))

    def get(self, name: str) -> Job:
        """A job by its id or the start of it.

        Raises:
            ProblemError: `job.not_found`, `job.ambiguous`, `node.not_ready`.
        """
        return self._find(name).job()

    def known(self, kind: str, request: msgspec.Struct, *, key: str | None = None) -> Job | None:
        """The job that `submit` would answer with instead of a new one."""
        used = None if key is None else self._keys.get(key)
        content = _content(self._kinds[kind], request)
        entry = self._under_way(content) if used is None else self._entries.get(used.job)
        return None if entry is None else entry.job()

    def asked(self, kind: str, request: R) -> R:
        """What the job that this would join would be asked for then; without one, just this."""
        maker: JobKind[R] = self._kinds[kind]
        entry = self._under_way(_content(maker, request)) if maker.joins else None
        if entry is None or entry.request is None:
            return request
        return maker.joined(cast("R", entry.request), request)

    def newest(self, *, state: JobState | None = None, limit: int | None = None) -> list[Job]:
        """All jobs, or those in a state, the newest first.

        Raises:
            ProblemError: `node.not_ready`.
        """
        self._check_ready()
        jobs = [entry.job() for entry in reversed(self._entries.values())]
        return [job for job in jobs if state is None or job.state == state][:limit]

    async def cancel(self, name: str, *, by: str) -> Job:
        """Cancel a job: at once where it waits, else as soon as its work lets go.

        Raises:
            ProblemError: as `get`; `job.ended` where it ended otherwise; `store.*` where that
                cannot be written: one that waits goes on waiting, one that runs is ended.
        """
        entry = self._find(name)
        job = entry.job()
        if entry.ended and job.state != "cancelled":
            raise refusals.already_ended(job)
        await finish(self._cancel(entry, f"cancelled by {by}"))
        return entry.job()

    async def retry(self, name: str, *, owner: str, key: str | None = None) -> Job:
        """A new job with the request of one that ended without success.

        Raises:
            ProblemError: as `get` and `submit`; `job.not_retryable`.
        """
        entry = self._find(name)
        job = entry.job()
        if not entry.ended:
            raise refusals.not_retryable(job, f"is {job.state}")
        if job.state == "succeeded":
            raise refusals.not_retryable(job, "has succeeded")
        kind = self._kinds.get(job.kind)
        if kind is None:
            raise refusals.not_retryable(job, "is of a kind that this agent does not know")
        encoded = await asyncio.to_thread(self._store.request, entry.id)
        try:
            request = from_json(encoded, kind.request_type)
        except msgspec.DecodeError as error:
            raise refusals.not_retryable(job, f"cannot be read by this agent: {error}") from None
        return await self.submit(kind.name, request, owner=owner, key=key, parent=entry.id)

    async def log(
        self, name: str, *, after: int = 0, follow: bool = True
    ) -> AsyncGenerator[list[JobLogLine], None]:
        """Lines after that number in batches, with `follow` until the job has ended.

        The first batch is empty, so that what is wrong is told before anything else.

        Raises:
            ProblemError: as `get`; `store.*`.
        """
        entry = self._find(name)
        yield []
        async for lines in entry.log.read(after, lambda: entry.ended, follow=follow):
            yield lines

    def hold(self, why: str | None) -> None:
        """Begin no more jobs; those that wait say why. None: go on."""
        self._queue.hold(why)

    def unfinished(self, *, but: str, resumable: bool) -> list[Job]:
        """Those that run, but that one; without `resumable` those that could not go on after a
        restart of the agent."""
        return [
            entry.job()
            for entry, kind in self._queue.running()
            if entry.id != but and (resumable or not kind.resumable)
        ]

    def records(self) -> dict[str, Record]:
        """The live picture's section: all that is under way, and the last that ended."""
        shown: dict[str, Record] = {}
        ended = 0
        for entry in reversed(self._entries.values()):
            ended += entry.ended
            if not entry.ended or ended <= LIVE_ENDED:
                shown[entry.id] = entry.record()
        return shown

    async def _submit(
        self,
        kind: JobKind[Any],
        request: msgspec.Struct,
        owner: str,
        key: str | None,
        parent: str | None,
    ) -> Job:
        self._check_ready()
        encoded = msgspec.json.encode(request)
        content = _content(kind, request)
        whole = _digest(kind.name.encode(), encoded)
        fingerprint = _digest(whole, (parent or "").encode())
        async with self._submitting:
            known = None if key is None else self._keys.get(key)
            if known is not None:
                job = self._entries[known.job].job()
                if known.fingerprint != fingerprint:
                    raise refusals.key_reused(job)
                return job
            joined = self._under_way(content) if kind.joins else None
            if joined is not None:
                await self._join(joined, kind, request)
                await self._remember(key, joined, fingerprint)
                joined.log.add(f"{owner} asks for the same")
                return joined.job()
            if len(self._queue) >= QUEUED_LIMIT:
                raise refusals.queue_full(QUEUED_LIMIT)
            keys = frozenset(kind.locks(request))
            await self._forget()
            job = Job(
                id=secrets.token_hex(ID_BYTES),
                kind=kind.name,
                subject=kind.subject(request),
                alike=kind.alike(request),
                state="queued",
                owner=owner,
                parent=parent,
                created_at=self._clock(),
            )
            stored = StoredJob(job=job, request_bytes=len(encoded))
            made = None if key is None else JobKey(key=key, job=job.id, fingerprint=fingerprint)
            await self._store.aside(self._store.add, stored, encoded, made)
            if made is not None:
                self._keys[made.key] = made
            entry = self._add(stored)
            entry.content, entry.request = content, request
            self._queue.put(Waiting(entry, kind, keys))
        self._queue.look()
        self._changed()
        return entry.job()

    async def _join(self, entry: Entry, kind: JobKind[Any], joining: msgspec.Struct) -> None:
        if entry.request is None:
            return
        asked = kind.joined(entry.request, joining)
        if asked != entry.request:
            await entry.ask(asked)

    async def _remember(self, key: str | None, entry: Entry, fingerprint: bytes) -> None:
        if key is not None:
            made = JobKey(key=key, job=entry.id, fingerprint=fingerprint)
            await self._store.aside(self._store.add_key, made)
            self._keys[key] = made

    async def _cancel(self, entry: Entry, reason: str) -> None:
        run = self._queue.run_of(entry.id)
        if run is not None:
            # First of all: it must not depend on a disk that may be full.
            if not run.end("cancel", reason):
                return
            entry.log.add(reason)
            await entry.change(
                lambda job: (
                    None
                    if entry.ended
                    else msgspec.structs.replace(job, cancelling=True, reason=reason)
                )
            )
            return
        waiting = self._queue.take(entry.id)
        if waiting is None:
            return
        try:
            await self._end(entry, "cancelled", reason + " before it began")
        except ProblemError:
            self._queue.put_back(waiting)
            raise
        self._queue.look()

    async def _go_on(self) -> None:
        jobs, keys = await asyncio.to_thread(self._store.load)
        for stored in jobs:
            entry = self._add(stored)
            if not entry.ended:
                await self._recover(entry)
        self._keys = {key.key: key for key in keys if key.job in self._entries}

    async def _recover(self, entry: Entry) -> None:
        encoded = await asyncio.to_thread(self._store.request, entry.id)
        await entry.log.go_on()
        found = recover(entry.stored, encoded, self._kinds)
        if isinstance(found, Ended):
            await self._end(entry, found.state, found.reason)
            return
        if entry.stored.job.state == "running":
            entry.queued_again = True
            entry.log.add("the agent started again, and this begins anew")
        entry.content, entry.request = _content(found.kind, found.request), found.request
        self._queue.put(Waiting(entry, found.kind, found.keys))

    async def _end(self, entry: Entry, state: JobState, reason: str | None) -> None:
        await entry.change(
            lambda job: msgspec.structs.replace(
                job, state=state, reason=reason, ended_at=self._clock(), cancelling=False
            )
        )
        kind = self._kinds.get(entry.stored.job.kind)
        if kind is not None:
            tell_ended(kind, entry)

    async def _forget(self) -> None:
        gone = to_forget((entry.stored for entry in self._entries.values()), self._clock())
        if gone:
            await asyncio.to_thread(self._store.remove, gone)
            for name in gone:
                del self._entries[name]
            self._keys = {key: each for key, each in self._keys.items() if each.job not in gone}

    def _add(self, stored: StoredJob) -> Entry:
        entry = Entry(stored, store=self._store, clock=self._clock, on_change=self._changed)
        self._entries[entry.id] = entry
        return entry

    def _under_way(self, content: bytes) -> Entry | None:
        for entry in self._entries.values():
            if not entry.ended and entry.content == content and not entry.job().cancelling:
                return entry
        return None

    def _find(self, name: str) -> Entry:
        self._check_ready()
        if name in self._entries:
            return self._entries[name]
        found = [
            entry
            for entry in self._entries.values()
            if len(name) >= SHORTEST_START and entry.id.startswith(name)
        ]
        if len(found) > 1:
            raise refusals.ambiguous(name, [entry.job() for entry in found])
        if not found:
            raise refusals.not_found(name)
        return found[0]

    def _check_ready(self) -> None:
        if not self._ready:
            raise ProblemError.from_problem(self._refusal.problem())

    def _changed(self) -> None:
        for callback in self._listeners:
            callback()


def _content(kind: JobKind[Any], request: msgspec.Struct) -> bytes:
    """What jobs that may join have in common."""
    return _digest(kind.name.encode(), msgspec.json.encode(kind.identity(request)))


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
