"""The journal of this host's rollouts: one SQLite file, written before anything is done.

The runner writes records and events; consoles read them, and write wishes that the runner takes.
Each call opens the file anew, so that any number of processes may use it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from console.rollouts.journal_file import BUSY_SECONDS, transaction
from console.rollouts.newer import see_newer
from console.rollouts.notice_file import add_notices
from console.rollouts.notices import STARTED
from console.rollouts.pruning import prune
from console.rollouts.record import ENDED, SETTLED, Event, Judged, Rollout, Wish
from console.rollouts.replay_file import keep_bodies, with_bodies

SHARED_FOLDER = Path("/var/lib/roost-console")


# What an ended rollout begins to do on its nodes once more.
_BEGINS_ANEW: frozenset[Wish] = frozenset({"undo", "undo-at-once", "retry"})


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
    """All methods block, and raise ProblemError `rollout.journal` where the disk refuses, or
    `rollout.journal_broken`."""

    def __init__(self, folder: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        """`busy_seconds`: for so long another process may keep the file locked."""
        self.folder, self._busy = folder, busy_seconds

    def plan(self, rollout: Rollout, requests: Mapping[str, ApplyRequest]) -> None:
        """Keep a plan, and what each node is to be asked; forget what ended long ago.

        Raises:
            ProblemError: `rollout.node_held`.
        """
        with self._transaction(write=True) as connection:
            _check_free(connection, rollout)
            kept = keep_bodies(connection, rollout)
            connection.execute(
                "INSERT INTO rollouts (id, record) VALUES (?, ?)", (rollout.id, _encoded(kept))
            )
            connection.executemany(
                "INSERT INTO requests (rollout, node, body) VALUES (?, ?, ?)",
                [(rollout.id, node, _encoded(body)) for node, body in requests.items()],
            )
            _add(connection, rollout.id, [_planned(rollout)])
        # The plan is kept, whatever becomes of the old ones: the next one tries again.
        with contextlib.suppress(ProblemError):
            prune(lambda write: self._transaction(write=write), time.time())

    def begin(self, rollout_id: str, *, by: str) -> Rollout:
        """A plan becomes a rollout that runs, unless another holds one of its nodes.

        Raises:
            ProblemError: `rollout.not_found`, `rollout.state`, `rollout.node_held`.
        """
        with self._transaction(write=True) as connection:
            rollout = _load(connection, rollout_id)
            if rollout.state != "planned":
                raise ProblemError(
                    "rollout.state",
                    f"rollout {rollout_id} was started before: it is {rollout.state}",
                    params={"rollout": rollout_id, "state": rollout.state},
                    hint=f"roost rollout status {rollout_id}",
                )
            _check_free(connection, rollout)
            _supersede(connection, rollout)
            now = time.time()
            rollout.state, rollout.since, rollout.started_by = "running", now, by
            rollout.begun = _next_number(connection)
            _save(connection, rollout)
            _happened(connection, rollout, [Event(at=now, by=by, what="running", why=STARTED)])
            return rollout

    def load(self, rollout_id: str) -> Rollout:
        """Without the bodies of its replays. Raises ProblemError `rollout.not_found`."""
        with self._transaction(write=False) as connection:
            return _seen(connection, _load(connection, rollout_id))

    def whole(self, rollout_id: str) -> Rollout:
        """With all that nodes are to get. Raises ProblemError `rollout.not_found`."""
        with self._transaction(write=False) as connection:
            rollout = _seen(connection, _load(connection, rollout_id))
            return with_bodies(connection, rollout)

    def rollouts(self) -> list[Rollout]:
        """All of them, the newest first."""
        with self._transaction(write=False) as connection:
            rows = connection.execute("SELECT record FROM rollouts ORDER BY number DESC")
            found = [from_json(row[0], Rollout) for row in rows]
        see_newer(found)
        return found

    def to_steer(self) -> set[str]:
        """Ids of those that want a runner, have wishes that nobody took, or owe notices."""
        with self._transaction(write=False) as connection:
            rows = connection.execute(
                "SELECT id, json_extract(record, '$.state'),"
                " json_extract(record, '$.stands_until') FROM rollouts"
            )
            found = {
                row[0] for row in rows if row[1] not in {"planned", *ENDED} or row[2] is not None
            }
            rows = connection.execute(
                "SELECT rollout FROM wishes WHERE NOT taken UNION SELECT rollout FROM notices"
            )
            return found | {row[0] for row in rows}

    def save(
        self,
        rollout: Rollout,
        events: Sequence[Event] = (),
        taken: Sequence[Asked] = (),
        judged: Mapping[str, Judged] | None = None,
    ) -> None:
        """What is so from now on, why, the wishes that led to it, and new looks at nodes."""
        with self._transaction(write=True) as connection:
            _save(connection, rollout)
            _happened(connection, rollout, events)
            connection.executemany(
                "UPDATE wishes SET taken = 1 WHERE number = ?", [(each.number,) for each in taken]
            )
            connection.executemany(
                "INSERT OR REPLACE INTO judged (rollout, node, record) VALUES (?, ?, ?)",
                [(rollout.id, node, _encoded(each)) for node, each in (judged or {}).items()],
            )

    def request(self, rollout_id: str, node: str) -> ApplyRequest:
        """What the node is to be asked. Raises ProblemError `rollout.not_found`."""
        with self._transaction(write=False) as connection:
            row = connection.execute(
                "SELECT body FROM requests WHERE rollout = ? AND node = ?", (rollout_id, node)
            ).fetchone()
        if row is None:
            raise _not_found(f"{rollout_id} with {node}")
        return from_json(row[0], ApplyRequest)

    def events(self, rollout_id: str, *, after: int = 0) -> list[tuple[int, Event]]:
        """What happened, with numbers that grow."""
        with self._transaction(write=False) as connection:
            rows = connection.execute(
                "SELECT number, record FROM events WHERE rollout = ? AND number > ?"
                " ORDER BY number",
                (rollout_id, after),
            )
            return [(row[0], from_json(row[1], Event)) for row in rows]

    def note(self, rollout_id: str, event: Event) -> None:
        """Something that changes nothing, and that nobody is told of."""
        with self._transaction(write=True) as connection:
            _add(connection, rollout_id, [event])

    def judged(self, rollout_id: str) -> dict[str, Judged]:
        """What came of the last look at each node that was judged, by name."""
        with self._transaction(write=False) as connection:
            rows = connection.execute(
                "SELECT node, record FROM judged WHERE rollout = ?", (rollout_id,)
            )
            return {row[0]: from_json(row[1], Judged) for row in rows}

    def judged_at(self, rollout_id: str, node: str) -> Judged | None:
        """What came of the last look at one node; None: there was none."""
        with self._transaction(write=False) as connection:
            row = connection.execute(
                "SELECT record FROM judged WHERE rollout = ? AND node = ?", (rollout_id, node)
            ).fetchone()
            return None if row is None else from_json(row[0], Judged)

    def superseded(self, rollout_id: str) -> dict[str, str]:
        """Nodes that a newer rollout began on after this one had ended: its id, by name."""
        with self._transaction(write=False) as connection:
            rows = connection.execute(
                "SELECT node, newer FROM superseded WHERE rollout = ?", (rollout_id,)
            )
            return dict(rows.fetchall())

    def newer(self, rollout_id: str) -> dict[str, str]:
        """Nodes that a rollout which began later has its own version on: its id, by name."""
        found = self.load(rollout_id).nodes
        return {node.name: node.newer for node in found if node.newer is not None}

    def wish(self, rollout_id: str, wish: Wish, *, by: str) -> None:
        """For the runner.

        Raises:
            ProblemError: `rollout.not_found`; `rollout.node_held`: it has ended, and another one is
                under way where this would begin something.
        """
        with self._transaction(write=True) as connection:
            rollout = _load(connection, rollout_id)
            if rollout.state in ENDED and wish in _BEGINS_ANEW:
                _check_free(connection, rollout)
            connection.execute(
                "INSERT INTO wishes (rollout, at, by, wish) VALUES (?, ?, ?, ?)",
                (rollout_id, time.time(), by, wish),
            )

    def wishes(self, rollout_id: str) -> Sequence[Asked]:
        """Those that were not taken yet, the oldest first."""
        with self._transaction(write=False) as connection:
            rows = connection.execute(
                "SELECT number, wish, by, at FROM wishes WHERE rollout = ? AND NOT taken"
                " ORDER BY number",
                (rollout_id,),
            )
            return [Asked(*row) for row in rows]

    def _transaction(self, *, write: bool) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self.folder, write=write, busy_seconds=self._busy)


def _load(connection: sqlite3.Connection, rollout_id: str) -> Rollout:
    row = connection.execute("SELECT record FROM rollouts WHERE id = ?", (rollout_id,)).fetchone()
    if row is None:
        raise _not_found(rollout_id)
    return from_json(row[0], Rollout)


def _seen(connection: sqlite3.Connection, rollout: Rollout) -> Rollout:
    """With what newer ones have."""
    if rollout.state != "planned":
        rows = connection.execute(
            "SELECT record FROM rollouts WHERE json_extract(record, '$.begun') > ?",
            (rollout.begun,),
        )
        see_newer([rollout, *(from_json(row[0], Rollout) for row in rows)])
    return rollout


def _next_number(connection: sqlite3.Connection) -> int:
    """It grows with all that happens."""
    row = connection.execute("SELECT MAX(number) FROM events").fetchone()
    return int(row[0] or 0) + 1


def _save(connection: sqlite3.Connection, rollout: Rollout) -> None:
    kept = keep_bodies(connection, rollout)
    connection.execute("UPDATE rollouts SET record = ? WHERE id = ?", (_encoded(kept), rollout.id))


def _add(connection: sqlite3.Connection, rollout_id: str, events: Sequence[Event]) -> None:
    connection.executemany(
        "INSERT INTO events (rollout, record) VALUES (?, ?)",
        [(rollout_id, _encoded(event)) for event in events],
    )


def _happened(connection: sqlite3.Connection, rollout: Rollout, events: Sequence[Event]) -> None:
    """With those who are to be told of it."""
    _add(connection, rollout.id, events)
    add_notices(connection, rollout, events)


def _check_free(connection: sqlite3.Connection, rollout: Rollout) -> None:
    """One release at a time on a node."""
    names = {node.name for node in rollout.nodes if node.stage != "cannot"}
    wished = {
        row[0]
        for row in connection.execute("SELECT rollout, wish FROM wishes WHERE NOT taken")
        if row[1] in _BEGINS_ANEW
    }
    for other in _others(connection, rollout):
        held = sorted(names & _holds(other, anew=other.id in wished))
        if held:
            raise ProblemError(
                "rollout.node_held",
                f"{', '.join(held[:5])}: rollout {other.id} ({other.release}) is"
                f" {other.state} there",
                params={"rollout": other.id, "nodes": held},
                hint=f"Wait for its end, or end it: roost rollout abort {other.id}",
            )


def _holds(rollout: Rollout, *, anew: bool) -> set[str]:
    """The nodes where nothing else may begin now: of one that has ended, those that catch up."""
    if not anew and not rollout.wants_runner:
        return set()
    all_of_them = anew or rollout.state not in ENDED
    return {
        node.name
        for node in rollout.nodes
        if node.stage != "cannot" and (all_of_them or node.stage not in SETTLED)
    }


def _supersede(connection: sqlite3.Connection, rollout: Rollout) -> None:
    """What rollouts before did not begin on these nodes is this one's."""
    names = {node.name for node in rollout.nodes}
    connection.executemany(
        "INSERT OR REPLACE INTO superseded (rollout, node, newer) VALUES (?, ?, ?)",
        [
            (other.id, node.name, rollout.id)
            for other in _others(connection, rollout)
            for node in other.nodes
            if other.stands_until is not None and node.name in names
        ],
    )


def _others(connection: sqlite3.Connection, rollout: Rollout) -> list[Rollout]:
    rows = connection.execute("SELECT record FROM rollouts WHERE id != ?", (rollout.id,))
    return [from_json(row[0], Rollout) for row in rows.fetchall()]


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
