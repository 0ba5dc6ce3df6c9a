"""The real agent tries another version of itself below its real supervisor."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store.database import SCHEMA_VERSION
from tests.agent.upgrades.versions import Versions

pytestmark = pytest.mark.timeout(120)

NEWER = (
    "import agent.store.database as d; d.SCHEMA_VERSION += 1;"
    " d._SCHEMA += 'CREATE TABLE to_come (id INTEGER PRIMARY KEY);'"
)


CRASHES = (
    "import agent.jobs.jobs as j;"
    " j.Jobs.start = lambda self: (_ for _ in ()).throw(OSError('no jobs today'))"
)
OLDER = "import agent.store.database as d; d.SCHEMA_VERSION -= 1"


@pytest.fixture
def versions(short_folder: Path) -> Iterator[Versions]:
    made = Versions(short_folder)
    made.agent.start()
    try:
        yield made
    finally:
        made.close()


def test_it_is_tried_confirmed_and_then_current(versions: Versions) -> None:
    process = versions.agent.process
    assert process is not None
    before = versions.agent.get("/v1/node")["agent"]
    assert before["upgrade"]["kit"] == "a-1"
    versions.add("b-2")
    job = versions.begin("b-2")
    assert versions.tried("b-2")["job"] == job["id"]
    assert versions.current == "a-1"
    seen = versions.until(lambda: versions.agent.get("/v1/node")["agent"])
    assert seen["boot"] != before["boot"]
    assert seen["upgrade"]["on_trial"]
    refused = versions.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (503, "upgrade.on_trial")
    for _ in range(2):
        answer = versions.ask("POST", "/v1/agent/upgrade/confirm", {"id": "b-2"})
        about = answer.json()
        assert (answer.status_code, about["confirmed"] or not about["on_trial"]) == (200, True)
    ended = versions.ended(job)
    assert versions.current == "b-2"
    assert (ended["state"], ended["result"]["was"]) == ("succeeded", "a-1")
    assert process.poll() is None
    facts = versions.until(lambda: versions.agent.get("/v1/node")["agent"]["upgrade"]["last"])
    assert facts["outcome"] == "done"
    actions = [each["action"] for each in versions.ask("GET", "/v1/audit").json()]
    assert {"agent.upgrade", "agent.confirm"} <= set(actions)


def test_a_second_upgrade_follows_the_first_and_old_versions_make_room(versions: Versions) -> None:
    for name in ("b-2", "c-3"):
        versions.add(name)
        job = versions.begin(name)
        versions.tried(name)
        versions.ask("POST", "/v1/agent/upgrade/confirm", {"id": name})
        assert versions.ended(job)["state"] == "succeeded"
    assert versions.current == "c-3"
    assert sorted(each.parent.name for each in versions.root.glob("*/kit.json")) == [
        "b-2",
        "c-3",
        "current",
    ]


def test_without_a_confirmation_it_goes_back_and_the_database_with_it(versions: Versions) -> None:
    versions.add("b-2", NEWER)
    job = versions.begin("b-2", within_seconds=600)
    versions.tried("b-2")
    database = versions.agent.folder / "state" / "agent.db"
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)
    with sqlite3.connect(f"{database}.before") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    answer = versions.ask("POST", "/v1/agent/upgrade/revert", {"why": "it is not wanted"})
    assert answer.status_code == 200
    ended = versions.ended(job)
    assert (ended["state"], ended["problem"]["code"]) == ("failed", "upgrade.returned")
    assert "went back to a-1: it is not wanted" in ended["problem"]["detail"]
    assert versions.current == "a-1"
    state = versions.state()
    assert (state["kit"], state["on_trial"]) == ("a-1", False)
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'to_come'"
        ).fetchall()


def test_a_newer_schema_that_is_confirmed_keeps_a_copy_of_the_older(versions: Versions) -> None:
    versions.add("b-2", NEWER)
    job = versions.begin("b-2")
    versions.tried("b-2")
    versions.ask("POST", "/v1/agent/upgrade/confirm", {"id": "b-2"})
    assert versions.ended(job)["state"] == "succeeded"
    copy = versions.agent.folder / "state" / "agent.db.before-a-1"
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    # The older agent cannot read the database any more: it is not even tried, and the copy stays.
    back = versions.ended(versions.begin("a-1"))
    assert (back["state"], back["problem"]["code"]) == ("failed", "upgrade.schema")
    assert str(copy) in back["problem"]["detail"]
    assert copy.exists()
    assert versions.current == "b-2"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("import there_is_no_such", "exit status 1: ModuleNotFoundError: No module named"),
        (OLDER, "exit status 1: error: a newer agent wrote the database"),
        ("import time; time.sleep(1000)", "it was not confirmed within 1 s"),
    ],
    ids=["crashes at import", "cannot read the database", "hangs"],
)
def test_a_broken_agent_goes_back_with_its_last_words(
    versions: Versions, line: str, why: str
) -> None:
    versions.add("b-2", line)
    ended = versions.ended(versions.begin("b-2", within_seconds=1 if "sleep" in line else 60))
    assert ended["problem"]["code"] == "upgrade.returned"
    assert why in ended["problem"]["detail"]
    assert not (versions.root / "b-2").exists()
    assert versions.state()["kit"] == "a-1"


def test_confirmed_and_crashing_as_it_starts_its_jobs_it_goes_back(versions: Versions) -> None:
    versions.add("b-2", f"{NEWER}; {CRASHES}")
    job = versions.begin("b-2")
    versions.tried("b-2")
    answer = versions.ask("POST", "/v1/agent/upgrade/confirm", {"id": "b-2"})
    assert (answer.json()["on_trial"], answer.json()["confirmed"]) == (True, True)
    ended = versions.ended(job)
    assert ended["problem"]["code"] == "upgrade.returned"
    assert "it ended 3 times before it was up" in ended["problem"]["detail"]
    assert "no jobs today" in ended["problem"]["detail"]
    assert (versions.current, versions.state()["kit"]) == ("a-1", "a-1")
    with sqlite3.connect(versions.agent.folder / "state" / "agent.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_killed_on_trial_it_is_tried_again(versions: Versions) -> None:
    """Systemd would start the supervisor again after a power cut."""
    versions.add("b-2")
    job = versions.begin("b-2")
    versions.tried("b-2")
    process = versions.agent.process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    versions.agent.launch()
    versions.tried("b-2")
    versions.ask("POST", "/v1/agent/upgrade/confirm", {"id": "b-2"})
    assert versions.ended(job)["state"] == "succeeded"


def test_what_runs_already_is_not_tried(versions: Versions) -> None:
    ended = versions.ended(versions.begin("a-1"))
    assert (ended["state"], ended["reason"]) == ("skipped", "agent a-1 runs already")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"id": "z-9"}, "kit.none"),
        ({"id": "../a-1"}, "kit.none"),
        ({"id": "z-9", "kit": "sha256:" + "0" * 64}, "blob.not_found"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_ends(
    versions: Versions, request_: dict[str, str], code: str
) -> None:
    boot = versions.agent.get("/v1/node")["agent"]["boot"]
    ended = versions.ended(versions.begin(request_.pop("id"), **request_))
    assert (ended["state"], ended["problem"]["code"]) == ("failed", code)
    assert versions.agent.get("/v1/node")["agent"]["boot"] == boot


def test_who_is_no_admin_may_look_and_nothing_else(versions: Versions) -> None:
    with versions.agent.client("operator") as client:
        assert client.get("/v1/agent/upgrade").json()["kit"] == "a-1"
        for where, body in (
            ("", {"id": "a-1"}),
            ("/confirm", {"id": "a-1"}),
            ("/revert", {"why": ""}),
        ):
            answer = client.post(f"/v1/agent/upgrade{where}", json=body)
            assert answer.json()["code"] == "auth.role"
