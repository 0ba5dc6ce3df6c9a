"""What the journal forgets of rollouts that ended long ago, when a new one is planned.

Nothing goes that somebody could still want to do something with: of what runs somewhere, of what is
open, of the newest of each release.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import msgspec

from agent.protocol.decoding import from_json
from console.rollouts.newer import HAS_IT, see_newer
from console.rollouts.record import ENDED, Event, Rollout
from console.text import plural

KEEP_DAYS = 90
# Of each release, whenever they ended; and of its plans that nobody began.
KEEP_EACH = 20
# Of those that are summaries by then, of all releases; what is older goes.
KEEP_SUMMARIES = 500
# One plan is not to wait for the rest of years, and a runner not for more than a few.
AT_ONCE, IN_ONE_TRANSACTION = 50, 5
KEEP_SECONDS = KEEP_DAYS * 86400.0
_DETAILS = ("requests", "replays", "judged", "superseded", "wishes")

# A transaction of the journal; with `True`, nobody else writes meanwhile.
Transact = Callable[[bool], AbstractContextManager[sqlite3.Connection]]


class _Due(NamedTuple):
    """A rollout that is to be forgotten, and the records by which that was decided, by id."""

    rollout: Rollout
    wholly: bool
    seen: Mapping[str, str]


def prune(transact: Transact, now: float) -> None:
    """Make summaries of ended rollouts, and remove old summaries and plans that nobody began.

    What is to go is looked up while others write. What has changed since then stays.
    """
    _forget_notices(transact, now)
    with transact(False) as connection:  # noqa: FBT003 - said above
        due = _found(connection, now)
    for first in range(0, len(due), IN_ONE_TRANSACTION):
        with transact(True) as connection:  # noqa: FBT003
            for each in due[first : first + IN_ONE_TRANSACTION]:
                if not _as_it_was(connection, each):
                    continue
                if each.wholly:
                    _remove(connection, each.rollout.id)
                else:
                    _forget_details(connection, each.rollout, now)


def _found(connection: sqlite3.Connection, now: float) -> list[_Due]:
    rows = connection.execute("SELECT record FROM rollouts ORDER BY number DESC").fetchall()
    found = [from_json(row[0], Rollout) for row in rows]
    records = {each.id: row[0] for each, row in zip(found, rows, strict=True)}
    see_newer(found)
    open_ones = _open(connection)
    old = [
        each
        for each in found
        if each.id not in open_ones and now - max(each.created_at, each.since) > KEEP_SECONDS
    ]
    newest = set(_newest(found))
    plans = [each for each in old if each.state == "planned" and each.id not in newest]
    summaries = [each for each in found if each.pruned_at is not None]
    gone = [each for each in summaries[KEEP_SUMMARIES:] if each.id not in open_ones]
    settled = set(_settled(found))
    due = [each for each in old if each.id not in newest and _is_over(each, settled)]
    return [
        _Due(each, wholly, {one: records[one] for one in _decided_by(each)})
        for several, wholly in (([*plans, *gone], True), (due, False))
        for each in several[-AT_ONCE:]
    ]


def _decided_by(rollout: Rollout) -> set[str]:
    """Itself, and those that its nodes have in its stead."""
    return {rollout.id, *(node.newer for node in rollout.nodes if node.newer is not None)}


def _as_it_was(connection: sqlite3.Connection, due: _Due) -> bool:
    """Also if another console has forgotten it meanwhile, it is not."""
    for rollout_id, before in due.seen.items():
        row = connection.execute(
            "SELECT record FROM rollouts WHERE id = ?", (rollout_id,)
        ).fetchone()
        if row is None or row[0] != before:
            return False
    return due.rollout.id not in _open(connection)


def _forget_notices(transact: Transact, now: float) -> None:
    """Nobody runs what would deliver them, and who gets them would not know what they are about."""
    with transact(False) as connection:  # noqa: FBT003
        late = "SELECT DISTINCT rollout FROM notices WHERE since < ? LIMIT ?"
        rows = connection.execute(late, (now - KEEP_SECONDS, AT_ONCE)).fetchall()
    for (rollout_id,) in rows:
        with transact(True) as connection:  # noqa: FBT003
            count = connection.execute(
                "DELETE FROM notices WHERE rollout = ? AND since < ?",
                (rollout_id, now - KEEP_SECONDS),
            ).rowcount
            if not count:  # another console was faster
                continue
            which = plural(count, "notice")
            why = f"not sent any more, as nobody took them in {KEEP_DAYS} days: {which}"
            _note(connection, rollout_id, Event(at=now, by="roost", what="not told", why=why))


def _newest(rollouts: Sequence[Rollout]) -> Iterator[str]:
    """Ids of the newest of each release, begun and not begun; the newest is given first."""
    seen: dict[tuple[str, bool, bool], int] = {}
    for each in rollouts:
        key = each.release, bool(each.kits), each.state == "planned"
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= KEEP_EACH:
            yield each.id


def _settled(rollouts: Sequence[Rollout]) -> Iterator[tuple[str, str]]:
    """Rollouts that have ended, each with every node that has it for good, by its name."""
    for each in rollouts:
        if each.state in ENDED and not each.wants_runner:
            yield from ((each.id, node.name) for node in each.nodes if node.stage == "done")


def _is_over(rollout: Rollout, settled: Collection[tuple[str, str]]) -> bool:
    """Whether it has ended, was not summed up yet, and each node that has it has a newer one for
    good: where that one is under way still, the node may yet go back to this."""
    if rollout.state not in ENDED or rollout.wants_runner or rollout.pruned_at is not None:
        return False
    has_it = (node for node in rollout.nodes if node.stage in HAS_IT)
    return all((node.newer, node.name) in settled for node in has_it)


def _open(connection: sqlite3.Connection) -> set[str]:
    """Rollouts of which somebody wants something, or is still to be told."""
    rows = connection.execute(
        "SELECT rollout FROM wishes WHERE NOT taken UNION SELECT rollout FROM notices"
    )
    return {row[0] for row in rows}


def _forget_details(connection: sqlite3.Connection, rollout: Rollout, now: float) -> None:
    """What is left: its record, and what became of it as a whole, who did it and why."""
    _delete(connection, _DETAILS, rollout.id)
    count = connection.execute(
        "DELETE FROM events WHERE rollout = ? AND json_extract(record, '$.node') IS NOT NULL",
        (rollout.id,),
    ).rowcount
    rollout.pruned_at = now
    why = f"removed: {count} events of its nodes, its looks, and what nodes were asked"
    event = Event(at=now, by="roost", what="summed up", why=why)
    _note(connection, rollout.id, event)
    record = msgspec.json.encode(rollout).decode()
    connection.execute("UPDATE rollouts SET record = ? WHERE id = ?", (record, rollout.id))


def _note(connection: sqlite3.Connection, rollout_id: str, event: Event) -> None:
    connection.execute(
        "INSERT INTO events (rollout, record) VALUES (?, ?)",
        (rollout_id, msgspec.json.encode(event).decode()),
    )


def _remove(connection: sqlite3.Connection, rollout_id: str) -> None:
    _delete(connection, (*_DETAILS, "events"), rollout_id)
    connection.execute("DELETE FROM rollouts WHERE id = ?", (rollout_id,))


def _delete(connection: sqlite3.Connection, tables: Sequence[str], rollout_id: str) -> None:
    """All that these tables, which are named in this file, have of a rollout."""
    for table in tables:
        connection.execute(f"DELETE FROM {table} WHERE rollout = ?", (rollout_id,))  # noqa: S608
