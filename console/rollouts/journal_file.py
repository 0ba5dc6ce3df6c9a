"""The SQLite file of the journal: opened anew for each transaction, shared by a group's people."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.protocol.problems import ProblemError
from console.text import size

FILE = "rollouts.db"
BUSY_SECONDS = 10.0
SCHEMA_VERSION = 4
# With less than this, it is the disk that is to blame.
ROOM_BYTES = 1 << 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rollouts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
    rollout TEXT NOT NULL,
    node TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (rollout, node)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    rollout TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_rollout ON events (rollout);
CREATE TABLE IF NOT EXISTS wishes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    rollout TEXT NOT NULL,
    at REAL NOT NULL,
    by TEXT NOT NULL,
    wish TEXT NOT NULL,
    taken INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS judged (
    rollout TEXT NOT NULL,
    node TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (rollout, node)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    rollout TEXT NOT NULL,
    target TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    due REAL NOT NULL,
    since REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS notices_by_rollout ON notices (rollout);
CREATE TABLE IF NOT EXISTS replays (
    rollout TEXT NOT NULL,
    workload TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (rollout, workload)
);
CREATE TABLE IF NOT EXISTS superseded (
    rollout TEXT NOT NULL,
    node TEXT NOT NULL,
    newer TEXT NOT NULL,
    PRIMARY KEY (rollout, node)
) WITHOUT ROWID;
"""


@contextlib.contextmanager
def transaction(
    folder: Path, *, write: bool, busy_seconds: float = BUSY_SECONDS
) -> Iterator[sqlite3.Connection]:
    """One transaction: all of it or nothing; with `write`, nobody else writes meanwhile.

    Raises:
        ProblemError: `rollout.journal`: it cannot be used now: locked, full, not ours;
            `rollout.journal_broken`: waiting does not help.
    """
    path = folder / FILE
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
        if not path.exists():
            os.close(open_shared(path, os.O_RDWR | os.O_CREAT))
        with contextlib.closing(sqlite3.connect(path, timeout=busy_seconds)) as connection:
            connection.isolation_level = None  # BEGIN is said below
            _prepare(connection, path)
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield connection
            except BaseException:
                # A full disk has ended it already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
    except (sqlite3.OperationalError, OSError) as error:
        raise ProblemError(
            "rollout.journal",
            f"{path}: {error}{_room(folder)}",
            params={"file": str(path)},
            hint="See that its disk has room and that you may write there. Nodes go back by"
            " themselves when nobody steers their rollout.",
        ) from error
    except (sqlite3.DatabaseError, msgspec.MsgspecError) as error:
        raise ProblemError(
            "rollout.journal_broken",
            f"{path}: {error}",
            params={"file": str(path)},
            hint="Move it away, with its -wal and -shm, or set ROOST_STATE to another folder. Nodes"
            " that are not confirmed go back by themselves.",
        ) from error


def _room(folder: Path) -> str:
    """SQLite calls a full disk an I/O error, too."""
    with contextlib.suppress(OSError):
        found = os.statvfs(folder)
        free = found.f_bavail * found.f_frsize
        if free < ROOM_BYTES:
            return f"; its disk is full: {size(free)} are left"
    return ""


def open_shared(path: Path, flags: int) -> int:
    """A descriptor. In a folder that a group may write to, so is a file that this makes.

    Raises:
        OSError: as `os.open`.
    """
    handle = os.open(path, flags, 0o660)
    # The umask has taken the group's part away. Who did not make it may not change it.
    if os.fstat(handle).st_uid == os.geteuid() and path.parent.stat().st_mode & stat.S_IWGRP:
        os.fchmod(handle, 0o660)
    return handle


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise ProblemError(
            "rollout.journal_broken",
            f"{path} was written by a newer Roost",
            hint="Use that one here, or set ROOST_STATE to another folder.",
        )
    if version < SCHEMA_VERSION:
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
