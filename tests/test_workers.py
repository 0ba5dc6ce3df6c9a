"""Runs by files, some of whose tests kill the worker that runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Dies as often as the file `deaths` says.
FATAL = """
import os, pathlib, pytest
@pytest.mark.parametrize("number", range({tests}))
def test_one(number):
    if number == {dies}:
        deaths = pathlib.Path(__file__).with_name("deaths")
        left = int(deaths.read_text())
        if left:
            deaths.write_text(str(left - 1))
            os._exit(3)
"""

# Waits in C, where no signal interrupts it.
DEAF = """
import ctypes
def test_one():
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)
"""


def run_in(folder: Path, *options: str) -> str:
    """What pytest prints; two workers, five files of which one has the fatal test."""
    (folder / "pytest.ini").write_text("[pytest]")
    for number in range(4):
        (folder / f"test_{number}.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    plugins = ["-pxdist", "-ppytest_rerunfailures", "-ptests.workers"]
    command = [sys.executable, "-m", "pytest", "-rfR", "-n2", "--dist=loadfile"]
    ended = subprocess.run(
        [*command, *plugins, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    return ended.stdout


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("tests", "dies"), [(1, 0), (2, 1), (4, 0)])
def test_who_kills_a_worker_has_failed_and_the_others_run(
    tmp_path: Path, tests: int, dies: int
) -> None:
    (tmp_path / "test_fatal.py").write_text(FATAL.format(tests=tests, dies=dies))
    (tmp_path / "deaths").write_text("9")

    said = run_in(tmp_path)

    assert f"1 failed, {8 + tests - 1} passed" in said, said
    assert f"crashed while running 'test_fatal.py::test_one[{dies}]'" in said
    assert (tmp_path / "deaths").read_text() == "8"


@pytest.mark.timeout(240)
def test_who_kills_one_worker_only_is_named_as_run_again(tmp_path: Path) -> None:
    (tmp_path / "test_fatal.py").write_text(FATAL.format(tests=2, dies=0))
    (tmp_path / "deaths").write_text("1")

    said = run_in(tmp_path, "--reruns=1")

    assert "10 passed, 1 rerun" in said, said
    assert "RERUN test_fatal.py::test_one[0]" in said


@pytest.mark.timeout(240)
def test_who_kills_each_worker_has_failed_after_its_rerun(tmp_path: Path) -> None:
    (tmp_path / "test_fatal.py").write_text(FATAL.format(tests=2, dies=0))
    (tmp_path / "deaths").write_text("9")

    said = run_in(tmp_path, "--reruns=1")

    assert "1 failed, 9 passed, 1 rerun" in said, said


@pytest.mark.timeout(240)
def test_who_is_deaf_to_its_timeout_costs_its_worker(tmp_path: Path) -> None:
    (tmp_path / "test_fatal.py").write_text(DEAF)
    ends = ["-otimeout=1", "-ofaulthandler_timeout=5", "-ofaulthandler_exit_on_timeout=true"]

    said = run_in(tmp_path, "-ppytest_timeout", *ends)

    assert "1 failed, 8 passed" in said, said
    assert "crashed while running 'test_fatal.py::test_one'" in said


@pytest.mark.timeout(240)
def test_files_on_real_parts_are_first(tmp_path: Path) -> None:
    marked = "import pytest\n@pytest.mark.real\ndef test_real(): pass\n"
    (tmp_path / "test_z.py").write_text(marked)

    said = run_in(tmp_path, "-v", "-n1", "-omarkers=real")

    files = [
        line.split("PASSED ")[1].split("::")[0] for line in said.splitlines() if "PASSED" in line
    ]
    assert files == ["test_z.py", *[f"test_{number // 2}.py" for number in range(8)]], said
