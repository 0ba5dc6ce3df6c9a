"""Notices that are owed, in the journal: written with the events that they are about."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.protocol.decoding import from_json
from console.rollouts.journal_file import transaction
from console.rollouts.ledger import RUNNER
from console.rollouts.notices import STARTED, Happening, On, Subject, Target, notices_for
from console.rollouts.record import ENDED, Event, Rollout

# Of one rollout. Who was not reached for so many would not read them all.
OWED_LIMIT = 1000
_RUNNER_STOPS = ("paused", "reverting")
_ALWAYS_BAD = ("stuck", "lost")


class Owed(NamedTuple):
    """A notice that was not delivered yet."""

    number: int
    target: Target
    id: str
    kind: On
    body: str
    tries: int
    since: float


def add_notices(connection: sqlite3.Connection, rollout: Rollout, events: Sequence[Event]) -> None:
    """Owe what these events are to be told as."""
    targets = rollout.strategy.notify
    if not targets or not events:
        return
    subject = Subject(
        rollout=rollout.id,
        release=rollout.release,
        version=rollout.version,
        state=rollout.state,
        nodes={str(stage): count for stage, count in rollout.counts().items()},
    )
    failed = {node.name for node in rollout.nodes if node.failed}
    happenings = [
        Happening(
            kind=kind_of(event, failed=event.node in failed),
            at=event.at,
            by=event.by,
            what=event.what,
            node=event.node,
            why=event.why,
        )
        for event in events
    ]
    connection.executemany(
        "INSERT INTO notices (rollout, target, id, kind, body, due, since)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                rollout.id,
                msgspec.json.encode(target).decode(),
                notice.id,
                notice.kind,
                msgspec.json.encode(notice).decode(),
                notice.at,
                notice.at,
            )
            for target, notice in notices_for(targets, subject, happenings)
        ],
    )
    connection.execute(
        "DELETE FROM notices WHERE rollout = ? AND number NOT IN"
        " (SELECT number FROM notices WHERE rollout = ? ORDER BY number DESC LIMIT ?)",
        (rollout.id, rollout.id, OWED_LIMIT),
    )


def kind_of(event: Event, *, failed: bool) -> On:
    """What sort of event it is to somebody who is told; `failed`: its node counts as failed."""
    if event.node is not None:
        bad = event.what in _ALWAYS_BAD or (failed and event.what in ("reverted", "cannot"))
        return "trouble" if bad else "progress"
    if event.what == "running" and event.why == STARTED:
        return "started"
    if event.what == "gate":
        return "gate"
    if event.what in ENDED:
        return "ended"
    stops = event.what in _RUNNER_STOPS and event.by == RUNNER
    return "trouble" if stops or event.what == "trouble" else "progress"


class NoticeBook:
    """What one rollout owes. All methods block, and raise ProblemError `rollout.journal`."""

    def __init__(self, folder: Path, rollout_id: str) -> None:
        self._folder, self._rollout = folder, rollout_id

    def owed(self) -> list[tuple[float, Owed]]:
        """All that is owed, the oldest first, and when it is due."""
        with transaction(self._folder, write=False) as connection:
            rows = connection.execute(
                "SELECT due, number, target, id, kind, body, tries, since FROM notices"
                " WHERE rollout = ? ORDER BY number",
                (self._rollout,),
            ).fetchall()
        return [(row[0], Owed(row[1], from_json(row[2], Target), *row[3:])) for row in rows]

    def done(self, owed: Owed) -> None:
        """It was delivered, or is given up."""
        with transaction(self._folder, write=True) as connection:
            connection.execute("DELETE FROM notices WHERE number = ?", (owed.number,))

    def later(self, owed: Owed, due: float) -> None:
        """Try it again then."""
        with transaction(self._folder, write=True) as connection:
            connection.execute(
                "UPDATE notices SET tries = tries + 1, due = ? WHERE number = ?",
                (due, owed.number),
            )


def owing(folder: Path) -> set[str]:
    """Rollouts that owe notices. Blocks; raises ProblemError `rollout.journal`."""
    with transaction(folder, write=False) as connection:
        return {row[0] for row in connection.execute("SELECT DISTINCT rollout FROM notices")}
