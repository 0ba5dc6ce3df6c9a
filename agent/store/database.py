"""The agent's one SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from agent.durable import sync, sync_folder
from agent.kit.start import COPY_SUFFIX
from agent.protocol.problems import ProblemError

P = ParamSpec("P")
T = TypeVar("T")

# 1: audit, tokens. 2: jobs and images. 3: workloads and deployments.
SCHEMA_VERSION = 3

# Statements that also bring a file of an older version up to date.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS tokens (
    name TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL,
    last_used_at REAL
);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL,
    request BLOB NOT NULL,
    runs INTEGER NOT NULL,
    leaves TEXT
);
CREATE TABLE IF NOT EXISTS job_keys (
    key TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    fingerprint BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS job_keys_by_job ON job_keys (job);
CREATE TABLE IF NOT EXISTS job_log (
    job TEXT NOT NULL,
    number INTEGER NOT NULL,
    at REAL NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS loaded_images (
    id TEXT PRIMARY KEY,
    config_digest TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS workloads (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deployments (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS moved_tags (
    tag TEXT PRIMARY KEY,
    image TEXT NOT NULL,
    at REAL NOT NULL
);
"""


class Database:
    """A connection that any thread may use, one at a time; what is committed is on disk.

    It opens at first use, so that thousands of simulated nodes cost nothing.
    `path` None keeps everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that commits at the end, or rolls back on an exception.

        Raises:
            ProblemError: `store.failed`, `store.newer`. A broken constraint stays an
                sqlite3.IntegrityError.
        """
        with self._lock:
            try:
                connection = self._connection or self._open()
                with connection:
                    yield connection
            except sqlite3.IntegrityError:
                raise
            except (sqlite3.Error, OSError) as error:
                raise ProblemError(
                    "store.failed",
                    f"{self._path}: {error}",
                    params={"file": str(self._path)},
                    hint="Check that the disk has space and that the agent may write to that"
                    " folder. A damaged file can be moved away; tokens, jobs and the audit"
                    " log go with it.",
                ) from error

    @property
    def path(self) -> Path | None:
        """Its file; None: it is in memory."""
        return self._path

    @property
    def untouched(self) -> bool:
        """Whether nothing can be in it: in memory, and never used."""
        return self._path is None and self._connection is None

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` gives, which uses this database and nothing else that blocks.

        In a thread, for a disk may take its time. In memory nothing does: of thousands of
        simulated nodes, threads would be most of the work.
        """
        if self._path is None:
            return in_memory(work, *args, **kwargs)
        return await asyncio.to_thread(work, *args, **kwargs)

    def open(self) -> None:
        """Open it now, to hear of what is wrong early. Raises as `transaction` does."""
        with self.transaction():
            pass

    def rows(self, sql: str, parameters: Iterable[object] = ()) -> list[sqlite3.Row]:
        """All rows of one query."""
        with self.transaction() as connection:
            return connection.execute(sql, tuple(parameters)).fetchall()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600, exist_ok=True)
        connection = sqlite3.connect(
            self._path or ":memory:", check_same_thread=False, timeout=10, cached_statements=16
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise ProblemError(
                "store.newer",
                f"{self._path} has schema {version}, this agent knows up to {SCHEMA_VERSION}",
                params={"file": str(self._path), "schema": version, "known": SCHEMA_VERSION},
                hint="Install the newer agent again, or move the file away: tokens, jobs and"
                " the audit log go with it.",
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if self._path is not None and 0 < version < SCHEMA_VERSION:
            _keep_copy(connection, self._path)
        if version < SCHEMA_VERSION:
            # All or nothing: what is cut short begins anew with the old file.
            connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )


def in_memory(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Here and now. By its name the tests know that this does not block."""
    return work(*args, **kwargs)


def _keep_copy(connection: sqlite3.Connection, path: Path) -> None:
    """What an older agent can go on with. Raises OSError, sqlite3.Error."""
    copy = path.with_name(path.name + COPY_SUFFIX)
    part = path.with_name(f".{copy.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(part)) as target:
        connection.backup(target)
    with part.open("rb+") as file:
        sync(file)
    part.replace(copy)
    sync_folder(path.parent)
