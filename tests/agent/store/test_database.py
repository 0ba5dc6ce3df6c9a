"""A database that is newer, damaged, full or not to be written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agent.protocol.access import AuditRecord
from agent.protocol.problems import ProblemError
from agent.store.audit import AuditLog
from agent.store.database import SCHEMA_VERSION, Database
from agent.store.tokens import LAST_USED_STEP_SECONDS, TokenStore


def record(action: str = "container.stop", outcome: str = "done") -> AuditRecord:
    return AuditRecord(
        at=1.0,
        owner="maria",
        proof="stated",
        role="operator",
        origin="unix:agent.sock",
        action=action,
        subject="container/x",
        outcome=outcome,
    )


def fill(database: Database) -> None:
    """Let no page be added any more, which SQLite tells as it tells a full disk."""
    with database.transaction() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")


def problem_of(database: Database) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        database.open()
    return caught.value


def test_what_a_newer_agent_wrote_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "agent.db"
    Database(file).open()
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    problem = problem_of(Database(file))
    assert problem.code == "store.newer"
    assert problem.params["schema"] == SCHEMA_VERSION + 1
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION + 1
    connection.close()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "agent.db"
    file.write_bytes(b"nonsense " * 1000)
    problem = problem_of(Database(file))
    assert problem.code == "store.failed"
    assert str(file) in problem.detail
    assert file.read_bytes().startswith(b"nonsense")


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert problem_of(Database(tmp_path / "state" / "agent.db")).code == "store.failed"


def test_a_database_that_works_again_is_used_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "state" / "agent.db")
    (tmp_path / "state").write_text("")
    assert problem_of(database).code == "store.failed"
    (tmp_path / "state").unlink()
    AuditLog(database).append(record())
    assert len(AuditLog(database).newest(10)) == 1
    database.close()


def test_a_full_disk_refuses_records_but_locks_nobody_out(tmp_path: Path) -> None:
    database = Database(tmp_path / "agent.db")
    tokens, audit = TokenStore(database), AuditLog(database)
    secret = tokens.make("maria", "operator")
    fill(database)
    with pytest.raises(ProblemError) as caught:
        audit.append(record(action="x" * 100_000))
    assert caught.value.code == "store.failed"
    assert "full" in caught.value.detail
    assert tokens.check(secret).name == "maria"
    database.close()


def test_a_use_that_cannot_be_noted_is_no_reason_to_refuse(tmp_path: Path) -> None:
    database = Database(tmp_path / "agent.db")
    tokens = TokenStore(database)
    secret = tokens.make("maria", "operator")
    with database.transaction() as connection:
        connection.execute("PRAGMA query_only = ON")
    assert tokens.check(secret).role == "operator"
    assert tokens.list()[0].last_used_at is None
    database.close()


def test_a_clock_that_was_ahead_does_not_stop_the_notes_of_use() -> None:
    database = Database(None)
    tokens = TokenStore(database)
    secret = tokens.make("maria", "viewer")
    before = tokens.check(secret).last_used_at
    assert before is not None
    ahead = before + 10 * LAST_USED_STEP_SECONDS
    with database.transaction() as connection:
        connection.execute("UPDATE tokens SET last_used_at = ?", [ahead])
    tokens.check(secret)
    noted = tokens.list()[0].last_used_at
    assert noted is not None
    assert noted < ahead


def test_a_call_that_was_cut_short_is_settled_at_the_next_start() -> None:
    audit = AuditLog(Database(None))
    number = audit.append(record(outcome="begun"))
    audit.append(record(outcome="begun"))
    audit.finish(number, record(outcome="container.not_found"))
    audit.settle()
    assert [each.outcome for each in audit.newest(10)] == ["interrupted", "container.not_found"]
