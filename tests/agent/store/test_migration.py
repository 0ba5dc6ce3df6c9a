"""A file of an older agent is brought up to date, all at once or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from agent.store import database as database_module
from agent.store.audit import AuditLog
from agent.store.database import SCHEMA_VERSION, Database
from agent.store.tokens import TokenStore

# As version 1 made it.
VERSION_1 = """
CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, record TEXT NOT NULL);
CREATE TABLE tokens (
    name TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, role TEXT NOT NULL,
    created_at REAL NOT NULL, expires_at REAL, last_used_at REAL
);
INSERT INTO tokens VALUES ('console', x'00', 'operator', 1.0, NULL, NULL);
PRAGMA user_version = 1;
"""


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    file = tmp_path / "agent.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(VERSION_1)
    return file


def version_and_tables(file: Path) -> tuple[int, set[str]]:
    with closing(sqlite3.connect(file)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return version, {row[0] for row in rows} - {"sqlite_sequence"}


def test_an_older_file_keeps_what_it_has(old_file: Path) -> None:
    database = Database(old_file)
    assert [token.name for token in TokenStore(database).list()] == ["console"]
    assert AuditLog(database).newest(1) == []
    database.close()
    version, tables = version_and_tables(old_file)
    assert version == SCHEMA_VERSION
    assert {"audit", "tokens", "jobs", "job_keys", "job_log"} <= tables


def test_one_that_is_cut_short_begins_anew(old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = database_module._SCHEMA
    monkeypatch.setattr(database_module, "_SCHEMA", f"{schema} SELECT nothing;")
    with pytest.raises(ProblemError):
        Database(old_file).open()
    assert version_and_tables(old_file) == (1, {"audit", "tokens"})
    monkeypatch.setattr(database_module, "_SCHEMA", schema)
    database = Database(old_file)
    database.open()
    database.close()
    assert version_and_tables(old_file)[0] == SCHEMA_VERSION
