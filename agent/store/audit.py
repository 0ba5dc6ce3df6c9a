"""The audit log: every mutating call, who made it, and what came of it."""

from __future__ import annotations

import msgspec

from agent.protocol.access import AuditRecord
from agent.store.database import Database

# Bounded by construction: about 100 MB at most, years of a busy node.
KEPT_RECORDS = 200_000


class AuditLog:
    """Append-only for callers; the oldest records go when there are more than KEPT_RECORDS."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, record: AuditRecord) -> None:
        """Write it down; it is on disk when this returns."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO audit (at, record) VALUES (?, ?)",
                (record.at, msgspec.json.encode(record).decode()),
            )
            oldest = (cursor.lastrowid or 0) - KEPT_RECORDS
            connection.execute("DELETE FROM audit WHERE id <= ?", [oldest])

    def newest(self, limit: int) -> list[AuditRecord]:
        """The newest `limit` records, newest first."""
        rows = self._database.rows("SELECT record FROM audit ORDER BY id DESC LIMIT ?", [limit])
        return [msgspec.json.decode(row["record"], type=AuditRecord) for row in rows]
