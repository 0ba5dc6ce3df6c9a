"""Jobs and their logs in the agent's database. Everything here blocks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.jobs import Job, JobLogLine
from agent.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

LOG_READ_LINES = 500  # for one reader at a time


log = logging.getLogger(__name__)


class StoredJob(msgspec.Struct, kw_only=True):
    """A job as it is on disk, but for its request."""

    job: Job
    request_bytes: int  # how large that is
    runs: int = 0  # how often it began to run
    leaves: str | None = None  # what is half-done should the agent end now


class JobKey(msgspec.Struct, kw_only=True, frozen=True):
    """An Idempotency-Key that was used, and for which job."""

    key: str
    job: str
    fingerprint: bytes  # of what was asked: nothing else may come under the same key


class JobStore:
    """What a method wrote is on disk when it returns. All raise ProblemError `store.*`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A method of this one, so that nothing else has to wait. Raises what it raises."""
        return await self._database.aside(work, *args, **kwargs)

    @property
    def empty(self) -> bool:
        """Whether nothing can be in it: in memory, and never used."""
        return self._database.untouched

    def load(self) -> tuple[list[StoredJob], list[JobKey]]:
        """Everything, oldest first."""
        jobs = self._database.rows(
            "SELECT record, length(request) AS request_bytes, runs, leaves FROM jobs"
            " ORDER BY number"
        )
        keys = self._database.rows("SELECT key, job, fingerprint FROM job_keys")
        found = []
        for row in jobs:
            try:
                job = from_json(row["record"], Job)
            except msgspec.DecodeError as error:
                # One that nobody can read must not keep the agent from starting.
                log.warning("a job is left out: %s", error)
                continue
            stored = StoredJob(
                job=job,
                request_bytes=row["request_bytes"],
                runs=row["runs"],
                leaves=row["leaves"],
            )
            found.append(stored)
        return found, [
            JobKey(key=row["key"], job=row["job"], fingerprint=row["fingerprint"]) for row in keys
        ]

    def request(self, job: str) -> bytes:
        """What was asked for: JSON of the kind's request type."""
        rows = self._database.rows("SELECT request FROM jobs WHERE id = ?", [job])
        return bytes(rows[0]["request"])

    def add(self, stored: StoredJob, request: bytes, key: JobKey | None) -> None:
        """A new job, and the key that it was asked for with."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO jobs (id, record, request, runs) VALUES (?, ?, ?, ?)",
                (stored.job.id, _encoded(stored.job), request, stored.runs),
            )
            if key is not None:
                connection.execute(_ADD_KEY, (key.key, key.job, key.fingerprint))

    def add_key(self, key: JobKey) -> None:
        """One more key for a job that is there."""
        with self._database.transaction() as connection:
            connection.execute(_ADD_KEY, (key.key, key.job, key.fingerprint))

    def save(self, stored: StoredJob) -> None:
        """A job's new state."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET record = ?, runs = ?, leaves = ? WHERE id = ?",
                (_encoded(stored.job), stored.runs, stored.leaves, stored.job.id),
            )

    def save_request(self, job: str, request: bytes) -> None:
        """A job is asked for something else by now."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE jobs SET request = ? WHERE id = ?", (request, job))

    def remove(self, jobs: Iterable[str]) -> None:
        """Forget jobs with all that belongs to them."""
        names = [(name,) for name in jobs]
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM job_log WHERE job = ?", names)
            connection.executemany("DELETE FROM job_keys WHERE job = ?", names)
            connection.executemany("DELETE FROM jobs WHERE id = ?", names)

    def add_lines(self, job: str, lines: Sequence[JobLogLine], *, kept: int) -> None:
        """Lines of a log; only the newest `kept` of it stay."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO job_log (job, number, at, text) VALUES (?, ?, ?, ?)",
                [(job, line.number, line.at, line.text) for line in lines],
            )
            connection.execute(
                "DELETE FROM job_log WHERE job = ? AND number <= ?", (job, lines[-1].number - kept)
            )

    def lines(self, job: str, after: int) -> list[JobLogLine]:
        """The next lines after the one of that number, at most LOG_READ_LINES."""
        rows = self._database.rows(
            "SELECT number, at, text FROM job_log WHERE job = ? AND number > ?"
            " ORDER BY number LIMIT ?",
            (job, after, LOG_READ_LINES),
        )
        return [JobLogLine(number=row["number"], at=row["at"], text=row["text"]) for row in rows]

    def last_line(self, job: str) -> int:
        """The number of a log's last line; 0 without any."""
        rows = self._database.rows("SELECT MAX(number) AS last FROM job_log WHERE job = ?", [job])
        return rows[0]["last"] or 0


_ADD_KEY = "INSERT INTO job_keys (key, job, fingerprint) VALUES (?, ?, ?)"


def _encoded(job: Job) -> str:
    return msgspec.json.encode(job).decode()
