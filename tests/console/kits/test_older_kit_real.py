"""An agent of months ago becomes today's and goes back: kits of two trees, on the older's database.

The older kit is made from this repository's history. Where a clone has none of that it is skipped.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store.database import SCHEMA_VERSION
from console.kits.making import make_kit
from console.kits.reading import Kit, read_kit
from tests.broken_kits import DATABASE, newer_schema, once_the_database_is_open
from tests.console.kits.corner_agents import CornerAgent, CornerConsole
from tests.kits_made import other_version

pytestmark = [pytest.mark.real("corner"), pytest.mark.long, pytest.mark.timeout(500)]

REPOSITORY = Path(__file__).parent.parent.parent.parent
# The first whose upgrade is done when the confirmed agent is up; its start looks for no other.
OLDER = "88b94af"
UPGRADE = ("agent", "upgrade", "site=x", "--soak", "1s", "--attached", "--yes", "--kit")
CRASHES = once_the_database_is_open(b"raise SystemExit('it does not like it here')")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its kit, made by its own tree."""
    git = ["git", "-C", str(REPOSITORY)]
    known = subprocess.run([*git, "cat-file", "-e", OLDER], capture_output=True, check=False)
    if known.returncode:
        pytest.skip(f"this clone does not know {OLDER}")
    tree, kits = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("older")
    archive = subprocess.run([*git, "archive", OLDER], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(tree)], input=archive, check=True)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words = ("agent", "kit", "make", "-o", str(kits), "--arch", os.uname().machine)
    subprocess.run(
        [sys.executable, "-m", "console.cli.main", *words, "--python", python],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        check=True,
    )
    return next(kits.glob("*.pyz"))


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder = tmp_path_factory.mktemp("newest")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    made, _ = make_kit(folder, arch=os.uname().machine, pythons=[python], say=lambda _: None)
    return read_kit(made)


@pytest.fixture
def roost(older: Path, short_folder: Path) -> Iterator[CornerConsole]:
    agent = CornerAgent("a", short_folder / "a", older)
    try:
        yield CornerConsole(short_folder, [agent])
    finally:
        agent.corner.close()


def power_cut(roost: CornerConsole) -> str:
    """The kit that runs after one."""
    (agent,) = roost.agents
    os.kill(agent.pid, signal.SIGKILL)
    while Path(f"/proc/{agent.pid}/ns/mnt").exists():  # a zombie has none
        time.sleep(0.05)
    agent.pid = agent.corner.start(["/opt/roost/start", "serve"], log=agent.log)
    for _ in range(60):
        shown = roost("node", "show", "a", "--json")
        facts = json.loads(shown.stdout)["facts"] if shown.stdout else None
        if facts is not None:
            return str(facts["agent"]["upgrade"]["kit"])
    raise AssertionError(agent.log.read_text())


def undone(roost: CornerConsole, version: str) -> str:
    rollouts = json.loads(roost("rollout", "ls", "--json").stdout)
    rollout = next(each["id"] for each in rollouts if each["version"] == version)
    told = roost("rollout", "undo", rollout, "--yes")
    ended = roost("rollout", "runner", rollout)
    return told.stdout + told.stderr + ended.stdout + ended.stderr


def test_it_becomes_todays_and_goes_back_and_starts_by_itself_after_any_cut(
    roost: CornerConsole, older: Path, newest: Kit
) -> None:
    (agent,) = roost.agents
    first = read_kit(older).about.id
    went = roost(*UPGRADE, str(newest.path))
    assert went.returncode == 0, went.stdout + went.stderr
    assert agent.current == newest.about.id
    # What starts agents now finds the current version's own, and that of the older one, too.
    assert "\nFINDS = 1\n" in agent.corner.enter("cat", "/opt/roost/start").stdout
    assert power_cut(roost) == newest.about.id
    told = undone(roost, newest.about.version)
    assert agent.current == first, told
    assert power_cut(roost) == first


def test_it_runs_on_the_copy_of_its_database_where_a_newer_one_crashes(
    roost: CornerConsole, older: Path, newest: Kit, tmp_path: Path
) -> None:
    (agent,) = roost.agents
    changes = {DATABASE: newer_schema, "agent/cli/serve.py": CRASHES}
    broken = other_version(newest.path, tmp_path, "9.1", changes)
    went = roost(*UPGRADE, str(broken))
    assert "it does not like it here" in went.stdout + went.stderr
    assert power_cut(roost) == read_kit(older).about.id
    kept = agent.corner.enter("ls", "/var/lib/roost").stdout.split()
    assert not [name for name in kept if "before" in name]
    # One that stays keeps the copy, and the older one is not let at what it cannot read.
    stays = other_version(newest.path, tmp_path, "9.2", {DATABASE: newer_schema})
    went = roost(*UPGRADE, str(stays))
    assert went.returncode == 0, went.stdout + went.stderr
    assert "cannot read it any more" in undone(roost, "9.2")
    copy = tmp_path / "copy.db"
    name = f"agent.db.before-{read_kit(older).about.id}"
    agent.corner.enter("cp", f"/var/lib/roost/{name}", str(copy))
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
