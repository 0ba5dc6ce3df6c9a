"""The audit log: every mutating call, who made it, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import msgspec

from agent.protocol.access import AuditRecord
from agent.protocol.decoding import from_json
from agent.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

# Bounded by construction: about 100 MB at most, years of a busy node.
KEPT_RECORDS = 200_000
# Far more calls than an agent has under way when it is killed.
SETTLED_RECORDS = 1000


class AuditLog:
    """Append-only for callers; the oldest records go when there are more than KEPT_RECORDS.

    A call is on disk as "begun" before anything is done, so even one that was cut short by a
    power failure can be read there. All methods raise ProblemError `store.failed`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A method of this one, so that nothing else has to wait. Raises what it raises."""
        return await self._database.aside(work, *args, **kwargs)

    def append(self, record: AuditRecord) -> int:
        """Write it down; it is on disk when this returns its number."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO audit (at, record) VALUES (?, ?)", (record.at, _encoded(record))
            )
            number = cursor.lastrowid or 0
            connection.execute("DELETE FROM audit WHERE id <= ?", [number - KEPT_RECORDS])
        return number

    def finish(self, number: int, record: AuditRecord) -> None:
        """Put what became of a call in the place of its beginning."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE audit SET record = ? WHERE id = ?", (_encoded(record), number)
            )

    def settle(self) -> None:
        """At start: calls that a former agent had begun and not finished were interrupted."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT id, record FROM audit ORDER BY id DESC LIMIT ?", [SETTLED_RECORDS]
            ).fetchall()
            for row in rows:
                record = from_json(row["record"], AuditRecord)
                if record.outcome == "begun":
                    record.outcome = "interrupted"
                    connection.execute(
                        "UPDATE audit SET record = ? WHERE id = ?", (_encoded(record), row["id"])
                    )

    def newest(self, limit: int) -> list[AuditRecord]:
        """The newest `limit` records, newest first."""
        rows = self._database.rows("SELECT record FROM audit ORDER BY id DESC LIMIT ?", [limit])
        return [from_json(row["record"], AuditRecord) for row in rows]


def _encoded(record: AuditRecord) -> str:
    return msgspec.json.encode(record).decode()
