"""The journal of this host's rollouts: one SQLite file, written before anything is done.

The runner writes records and events; consoles read them, and write wishes that the runner takes.
Each call opens the file anew, so that any number of processes may use it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from console.rollouts.record import ENDED, Event, Rollout, Wish

SHARED_FOLDER = Path("/var/lib/roost-console")
FILE = "rollouts.db"
BUSY_SECONDS = 10.0
SCHEMA_VERSION = 1
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
"""


class Asked(NamedTuple):
    """A wish that waits for the runner."""

    number: int
    wish: Wish
    by: str
    at: float


def journal_folder(environment: Mapping[str, str]) -> Path:
    """`ROOST_STATE`; else the host's own folder where it may be written to; else a private one."""
    if given := environment.get("ROOST_STATE"):
        return Path(given)
    if os.access(SHARED_FOLDER, os.W_OK | os.X_OK):
        return SHARED_FOLDER
    state = environment.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "roost"


class Journal:
    """All methods block, and raise ProblemError `rollout.journal` where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self, rollout: Rollout, requests: Mapping[str, ApplyRequest]) -> None:
        """Keep a plan, and what each node is to be asked."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO rollouts (id, record) VALUES (?, ?)", (rollout.id, _encoded(rollout))
            )
            connection.executemany(
                "INSERT INTO requests (rollout, node, body) VALUES (?, ?, ?)",
                [(rollout.id, node, _encoded(body)) for node, body in requests.items()],
            )
            _add(connection, rollout.id, [_planned(rollout)])

    def begin(self, rollout_id: str, *, by: str) -> Rollout:
        """A plan becomes a rollout that runs, unless another holds one of its nodes.

        Raises:
            ProblemError: `rollout.not_found`, `rollout.state`, `rollout.node_held`.
        """
        with self._transaction() as connection:
            rollout = _load(connection, rollout_id)
            if rollout.state != "planned":
                raise ProblemError(
                    "rollout.state",
                    f"rollout {rollout_id} was started before: it is {rollout.state}",
                    params={"rollout": rollout_id, "state": rollout.state},
                    hint=f"roost rollout status {rollout_id}",
                )
            _check_free(connection, rollout)
            now = time.time()
            rollout.state, rollout.since = "running", now
            _save(connection, rollout)
            _add(connection, rollout_id, [Event(at=now, by=by, what="running")])
            return rollout

    def load(self, rollout_id: str) -> Rollout:
        """Raises ProblemError `rollout.not_found`."""
        with self._transaction() as connection:
            return _load(connection, rollout_id)

    def rollouts(self) -> list[Rollout]:
        """All of them, the newest first."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT record FROM rollouts ORDER BY number DESC")
            return [from_json(row[0], Rollout) for row in rows]

    def save(
        self, rollout: Rollout, events: Sequence[Event] = (), taken: Sequence[Asked] = ()
    ) -> None:
        """What is so from now on, why, and the wishes that led to it."""
        with self._transaction() as connection:
            _save(connection, rollout)
            _add(connection, rollout.id, events)
            connection.executemany(
                "UPDATE wishes SET taken = 1 WHERE number = ?", [(each.number,) for each in taken]
            )

    def request(self, rollout_id: str, node: str) -> ApplyRequest:
        """What the node is to be asked. Raises ProblemError `rollout.not_found`."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT body FROM requests WHERE rollout = ? AND node = ?", (rollout_id, node)
            ).fetchone()
        if row is None:
            raise _not_found(f"{rollout_id} with {node}")
        return from_json(row[0], ApplyRequest)

    def events(self, rollout_id: str, *, after: int = 0) -> list[tuple[int, Event]]:
        """What happened, with numbers that grow."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT number, record FROM events WHERE rollout = ? AND number > ?"
                " ORDER BY number",
                (rollout_id, after),
            )
            return [(row[0], from_json(row[1], Event)) for row in rows]

    def wish(self, rollout_id: str, wish: Wish, *, by: str) -> None:
        """For the runner. Raises ProblemError `rollout.not_found`."""
        with self._transaction() as connection:
            _load(connection, rollout_id)
            connection.execute(
                "INSERT INTO wishes (rollout, at, by, wish) VALUES (?, ?, ?, ?)",
                (rollout_id, time.time(), by, wish),
            )

    def wishes(self, rollout_id: str) -> Sequence[Asked]:
        """Those that were not taken yet, the oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT number, wish, by, at FROM wishes WHERE rollout = ? AND NOT taken"
                " ORDER BY number",
                (rollout_id,),
            )
            return [Asked(*row) for row in rows]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        path = self.folder / FILE
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True)
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
            try:
                _prepare(connection, path)
                with connection:
                    yield connection
            finally:
                connection.close()
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            raise ProblemError(
                "rollout.journal",
                f"{path}: {error}",
                params={"file": str(path)},
                hint="See that its disk has room and that you may write there. Nodes go back by"
                " themselves when nobody steers their rollout.",
            ) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise ProblemError(
            "rollout.journal",
            f"{path} was written by a newer Roost",
            hint="Use that one here, or set ROOST_STATE to another folder.",
        )
    if version < SCHEMA_VERSION:
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _load(connection: sqlite3.Connection, rollout_id: str) -> Rollout:
    row = connection.execute("SELECT record FROM rollouts WHERE id = ?", (rollout_id,)).fetchone()
    if row is None:
        raise _not_found(rollout_id)
    return from_json(row[0], Rollout)


def _save(connection: sqlite3.Connection, rollout: Rollout) -> None:
    connection.execute(
        "UPDATE rollouts SET record = ? WHERE id = ?", (_encoded(rollout), rollout.id)
    )


def _add(connection: sqlite3.Connection, rollout_id: str, events: Sequence[Event]) -> None:
    connection.executemany(
        "INSERT INTO events (rollout, record) VALUES (?, ?)",
        [(rollout_id, _encoded(event)) for event in events],
    )


def _check_free(connection: sqlite3.Connection, rollout: Rollout) -> None:
    """One release at a time on a node."""
    names = {node.name for node in rollout.nodes}
    for (record,) in connection.execute("SELECT record FROM rollouts"):
        other = from_json(record, Rollout)
        held = sorted(names & {node.name for node in other.nodes})
        if other.id == rollout.id or other.state in {"planned", *ENDED} or not held:
            continue
        raise ProblemError(
            "rollout.node_held",
            f"{', '.join(held[:5])}: rollout {other.id} ({other.release}) is {other.state} there",
            params={"rollout": other.id, "nodes": held},
            hint=f"Wait for its end, or end it: roost rollout abort {other.id}",
        )


def _planned(rollout: Rollout) -> Event:
    return Event(at=rollout.created_at, by=rollout.owner, what="planned")


def _encoded(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _not_found(what: str) -> ProblemError:
    return ProblemError(
        "rollout.not_found",
        f"there is no rollout {what} in this host's journal",
        hint="roost rollout ls lists them. Another host, or ROOST_STATE, may have others.",
    )
