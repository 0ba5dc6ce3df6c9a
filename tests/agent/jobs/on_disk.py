"""Jobs as they are on disk, read as another process would."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from agent.protocol.jobs import Job


def jobs_on_disk(file: Path) -> list[Job]:
    """Oldest first."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT record FROM jobs ORDER BY number").fetchall()
    return [msgspec.json.decode(row[0], type=Job) for row in rows]


def lines_on_disk(file: Path) -> int:
    """How many lines all logs have together."""
    with closing(sqlite3.connect(file)) as connection:
        count: int = connection.execute("SELECT COUNT(*) FROM job_log").fetchone()[0]
    return count
