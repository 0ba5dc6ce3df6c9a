"""The supervisor of upgrades with toy agents: killed between any two of its deeds, one agent runs.

Nothing here is timed: deeds are counted, and states are waited for.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.kit import start

pytestmark = pytest.mark.timeout(60)

SOURCE = Path(start.__file__)
DYING = Path(__file__).with_name("dying_start.py")
WAIT_SECONDS = 20.0
# So many deeds are more than any of these scenes has.
DEEDS_LIMIT = 40

_RUNS = 'echo "$ME $$" >>"$ROOT/runs"\n'
_STAYS = "exec sleep 1000\n"
_CONFIRM = """
ln -s "$ME" "$ROOT/.current" && mv -T "$ROOT/.current" "$ROOT/current"
rm -f "$ROOT/trial.json"
"""
_WANTED = """
sed -i 's/"confirmed": false/"confirmed": true/' "$ROOT/trial.json"
"""
_STIRS = 'echo new >"$DATABASE"; echo wal >"$DATABASE-wal"; exit 4\n'
NOT_UP = "it ended 3 times before it was up"
THREE_TIMES = "it ended 3 times before it was confirmed"
TOYS = {
    "stays": _RUNS + _STAYS,
    "confirms": _RUNS + _CONFIRM + _STAYS,
    "crashes": "echo 'No module named x' >&2; echo 'hint: none' >&2; exit 3\n",
    "hangs": "trap '' TERM\n" + _RUNS + "while :; do sleep 1000; done\n",
    "gives up": f"""{_RUNS}
sed -i 's/"back": null/"back": "somebody wants it"/' "$ROOT/trial.json"
""",
    "stirs the database": _RUNS + _STIRS,
    "is confirmed and crashes": _RUNS + _WANTED + _STIRS,
    "is confirmed and hangs": _RUNS + _WANTED + _STAYS,
}


class Scene:
    """A folder such as /opt/roost, with `a` as the current one and `b` on trial."""

    def __init__(self, folder: Path, *, tried: str = "stays", seconds: float = 60.0) -> None:
        self.root, self.processes = folder, list[subprocess.Popen[bytes]]()
        self.database = folder / "agent.db"
        self.database.write_text("old\n")
        self.start = folder / "start"
        shutil.copy(SOURCE, self.start)
        self._toy("a", TOYS["stays"])
        self._toy("b", TOYS[tried])
        (folder / "current").symlink_to("a")
        self.trial = {"id": "b", "was": "a", "version": "2", "job": "j1", "starts": 0, "back": None}
        self.trial |= {"seconds": seconds, "up_seconds": 0.5, "confirmed": False}
        self.trial |= {"database": str(self.database)}
        (folder / "trial.json").write_text(json.dumps(self.trial))

    def run(self, dies_before: int = 0) -> subprocess.Popen[bytes]:
        """Start it; it kills itself before that deed, counted from 1."""
        argv = [sys.executable, "-IS", str(DYING), str(self.start), str(dies_before), "serve"]
        with (self.root / "said").open("ab") as said:
            process = subprocess.Popen(argv, stderr=said, start_new_session=True)
        self.processes.append(process)
        return process

    def alive(self) -> list[str]:
        """The toys that run, by name."""
        file = self.root / "runs"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        return sorted(line.split()[0] for line in lines if _runs(int(line.split()[1])))

    def becomes(self, running: list[str], *, last: str | None, current: str) -> None:
        """Wait until just these run and the files say so."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found = (self.alive(), self.last.get("outcome"), self.current)
            if found == (running, last, current) and not (self.root / "trial.json").exists():
                return
            assert time.monotonic() < deadline, (found, (self.root / "said").read_text())
            time.sleep(0.02)

    @property
    def last(self) -> dict[str, Any]:
        file = self.root / "last-upgrade.json"
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found

    @property
    def current(self) -> str:
        return str((self.root / "current").readlink())

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _toy(self, name: str, body: str) -> None:
        program = self.root / name / "bin" / "roost-agent"
        program.parent.mkdir(parents=True)
        head = f"#!/bin/sh\nME={name} ROOT={self.root} DATABASE={self.database}\n"
        program.write_text(head + body)
        program.chmod(0o755)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def scenes(tmp_path: Path) -> Iterator[list[Scene]]:
    made: list[Scene] = []
    yield made
    for scene in made:
        scene.close()


def begun(scenes: list[Scene], folder: Path, **given: Any) -> Scene:
    folder.mkdir()
    scenes.append(Scene(folder, **given))
    return scenes[-1]


def test_an_old_python_can_read_it() -> None:
    ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_without_a_trial_it_becomes_the_current_agent(tmp_path: Path, scenes: list[Scene]) -> None:
    scene = begun(scenes, tmp_path / "scene")
    (scene.root / "trial.json").unlink()
    process = scene.run()
    scene.becomes(["a"], last=None, current="a")
    assert (scene.root / "runs").read_text() == f"a {process.pid}\n"


def test_a_trial_that_cannot_be_read_is_none(tmp_path: Path, scenes: list[Scene]) -> None:
    scene = begun(scenes, tmp_path / "scene")
    for broken in ("{", "[]", '{"id": 1}', '{"id": "b", "starts": "x"}'):
        (scene.root / "trial.json").write_text(broken)
        assert start.Supervisor(str(scene.start), []).trial() is None


def test_a_stop_reaches_the_agent_on_trial_and_is_no_crash(
    tmp_path: Path, scenes: list[Scene]
) -> None:
    scene = begun(scenes, tmp_path / "scene")
    process = scene.run()
    deadline = time.monotonic() + WAIT_SECONDS
    while scene.alive() != ["b"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.terminate()
    assert process.wait(WAIT_SECONDS) == 128 + signal.SIGTERM
    assert scene.alive() == []
    assert json.loads((scene.root / "trial.json").read_text())["starts"] == 0
    assert scene.last == {}


@pytest.mark.parametrize(
    ("tried", "seconds", "why"),
    [
        (
            "crashes",
            60.0,
            f"{THREE_TIMES}, the last time with exit status 3: No module named x",
        ),
        ("hangs", 0.3, "it was not confirmed within 0.3 s"),
        ("gives up", 60.0, "somebody wants it"),
        ("is confirmed and crashes", 60.0, f"{NOT_UP}, the last time with exit status 4"),
        ("is confirmed and hangs", 60.0, "it was not up within 0.5 s"),
    ],
)
def test_it_goes_back_by_itself(
    tmp_path: Path,
    scenes: list[Scene],
    monkeypatch: pytest.MonkeyPatch,
    tried: str,
    seconds: float,
    why: str,
) -> None:
    scene = begun(scenes, tmp_path / "scene", tried=tried, seconds=seconds)
    scene.start.write_text(SOURCE.read_text().replace("END_SECONDS = 5.0", "END_SECONDS = 0.1"))
    scene.run()
    scene.becomes(["a"], last="returned", current="a")
    assert scene.last["why"] == why
    assert scene.last["job"] == "j1"


def test_it_starts_nothing_while_the_database_cannot_be_put_back(
    tmp_path: Path, scenes: list[Scene]
) -> None:
    """The older agent could not read it, or would lose what it kept."""
    scene = begun(scenes, tmp_path / "scene", tried="is confirmed and crashes")
    copy = Path(f"{scene.database}{start.COPY_SUFFIX}")
    copy.write_text("old\n")
    in_the_way = Path(f"{scene.database}-shm")
    in_the_way.mkdir()
    for _ in range(2):
        assert scene.run().wait(WAIT_SECONDS) == 1
        assert (scene.alive(), scene.last, scene.current) == ([], {}, "a")
        assert json.loads((scene.root / "trial.json").read_text())["back"].startswith(NOT_UP)
    in_the_way.rmdir()
    scene.run()
    scene.becomes(["a"], last="returned", current="a")
    assert scene.database.read_text() == "old\n"


def test_what_the_one_on_trial_says_is_read_though_nobody_hears_it() -> None:
    class Deaf:
        def write(self, _line: bytes) -> None:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            raise ValueError("it is closed")

    heard = start.Heard(iter([b"one\n", b"two\n"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", SimpleNamespace(buffer=Deaf()))
        heard.run()
    assert heard.last == "two"


def test_what_cannot_be_started_goes_back(tmp_path: Path, scenes: list[Scene]) -> None:
    scene = begun(scenes, tmp_path / "scene")
    shutil.rmtree(scene.root / "b")
    scene.run()
    scene.becomes(["a"], last="returned", current="a")
    assert "it does not start" in scene.last["why"]


@pytest.mark.parametrize(
    ("tried", "ends"), [("crashes", "a"), ("is confirmed and crashes", "a"), ("confirms", "b")]
)
def test_killed_before_any_deed_one_agent_runs_at_the_next_start(
    tmp_path: Path, scenes: list[Scene], tried: str, ends: str
) -> None:
    for deed in range(1, DEEDS_LIMIT):
        scene = begun(scenes, tmp_path / f"{deed}", tried=tried)
        copy = Path(f"{scene.database}{start.COPY_SUFFIX}")
        copy.write_text("old\n")
        first = scene.run(dies_before=deed)
        died = _dies(first, scene)
        if died:
            scene.run()
        last = "returned" if ends == "a" else scene.last.get("outcome")
        scene.becomes([ends], last=last, current=ends)
        if ends == "a":
            assert scene.database.read_text() == "old\n"
            assert not copy.exists()
            assert not Path(f"{scene.database}-wal").exists()
        scene.close()
        if not died:
            assert deed > 2, "nothing was ever killed"
            return
    pytest.fail("it does more than was thought")


def _dies(process: subprocess.Popen[bytes], scene: Scene) -> bool:
    """Whether it killed itself; not: it has come to an agent that stays."""
    deadline = time.monotonic() + WAIT_SECONDS
    while process.poll() is None:
        settled = not (scene.root / "trial.json").exists() and scene.alive()
        if settled:
            return False
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.returncode == -signal.SIGKILL
    return True


def test_one_that_did_not_stay_leaves_the_way_back_of_the_one_that_does(tmp_path: Path) -> None:
    supervisor = start.Supervisor(str(tmp_path / "start"), [])
    supervisor.write(start.LAST, {"outcome": "done", "id": "b", "was": "a", "job": "j1"})

    def settle(tried: str, was: str) -> dict[str, Any]:
        trial = {"id": tried, "was": was, "job": f"of-{tried}"}
        supervisor.write(start.TRIAL, trial)
        supervisor.settle(trial, "returned", "it ends")
        return supervisor.read(start.LAST) or {}

    for tried in ("c", "d", "d"):  # twice where it was cut in between
        last = settle(tried, "b")
        assert (last["id"], last["was"], last["before"]) == (tried, "b", "a")
    assert "before" not in settle("e", "x")  # another was installed meanwhile
