"""Real tests are skipped with their reason, or fail where real parts are required."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SAMPLE = """
import pytest

@pytest.mark.real("compiler")
def test_real():
    pass

@pytest.mark.real
def test_skips_itself():
    pytest.skip("no such hardware")

@pytest.mark.real
@pytest.mark.xfail(strict=True)
def test_known_fault():
    raise AssertionError

def test_other():
    pass
"""


def run(folder: Path, source: str, *options: str, **environment: str) -> list[str]:
    """What pytest says, line by line, in a process that finds no command."""
    test = folder / "test_sample.py"
    test.write_text(source)
    settings = folder / "pytest.ini"
    marks = "  real: real\n  runtimes: made\n  long: long\n  gpus: GPUs\n"
    settings.write_text(f"[pytest]\nmarkers =\n{marks}")
    plugins = [f"-p{name}" for name in ("tests.real.plugin", "pytest_timeout", "xdist.plugin")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(settings), *plugins, *options, str(test)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            "PATH": str(folder),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            **environment,
        },
    )
    return done.stdout.splitlines() + done.stderr.splitlines()


@pytest.mark.timeout(60)  # it starts a pytest with two workers
@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_skips_are_told_and_the_summary_stays_last(tmp_path: Path, options: list[str]) -> None:
    lines = run(tmp_path, SAMPLE, *options)
    assert "1 skipped: compiler: not in PATH: gcc" in lines
    assert "1 skipped: no such hardware" in lines
    assert "1 passed, 2 skipped, 1 xfailed" in lines[-1]


def test_a_skip_fails_where_it_is_required(tmp_path: Path) -> None:
    lines = run(tmp_path, SAMPLE, ROOST_REQUIRE_REAL="1")
    assert "ROOST_REQUIRE_REAL=1 and skipped: compiler: not in PATH: gcc" in lines
    assert "ROOST_REQUIRE_REAL=1 and skipped: no such hardware" in lines
    assert "1 passed, 1 xfailed" in lines[-1]
    assert "2 failed" in lines[-1] or "1 error" in lines[-1]


def test_nothing_is_said_when_all_ran(tmp_path: Path) -> None:
    lines = run(tmp_path, "def test_other():\n    pass\n")
    assert not [line for line in lines if "did not run" in line]
    assert "1 passed" in lines[-1]


def test_the_mark_is_asked_for(tmp_path: Path) -> None:
    lines = run(tmp_path, "def test_other(docker_engine):\n    pass\n")
    assert any("uses docker without the mark" in line for line in lines)


def test_an_unknown_part(tmp_path: Path) -> None:
    source = "import pytest\n@pytest.mark.real('dokcer')\ndef test_other():\n    pass\n"
    assert any("no real part dokcer" in line for line in run(tmp_path, source))


MADE = """
import pytest

@pytest.mark.runtimes
@pytest.mark.real("containerd_store")
def test_made():
    pass

def test_other():
    pass
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_what_make_test_leaves_out_is_told(tmp_path: Path, options: list[str]) -> None:
    lines = run(tmp_path, MADE, *options)
    assert "1 left out (runtimes): `make test-runtimes` runs them." in lines
    assert "1 passed" in lines[-1]


def test_there_it_is_required(tmp_path: Path) -> None:
    lines = run(
        tmp_path, MADE, "--runtimes", ROOST_REQUIRE_REAL="1", ROOST_TESTS_CACHE=str(tmp_path)
    )
    assert any("ROOST_REQUIRE_REAL=1 and skipped: containerd_store" in line for line in lines)
    assert not [line for line in lines if "left out" in line]
    assert "1 deselected" in lines[-1]
    assert "passed" not in lines[-1]


@pytest.mark.real
def test_real_tests_have_two_minutes(request: pytest.FixtureRequest) -> None:
    mark = request.node.get_closest_marker("timeout")
    assert mark is not None
    assert mark.args == (120,)


@pytest.mark.real
@pytest.mark.timeout(77)
def test_unless_they_say_how_long(request: pytest.FixtureRequest) -> None:
    mark = request.node.get_closest_marker("timeout")
    assert mark is not None
    assert mark.args == (77,)
