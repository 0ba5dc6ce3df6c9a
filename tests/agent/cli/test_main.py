"""`roost-agent` tells a command that does not fit as `roost` does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [BIN / program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["chekc"], "no such command 'chekc'; did you mean 'check'?", "roost-agent --help"),
        (["check", "--jsno"], "no such option '--jsno'", "roost-agent check --help"),
        (["token", "make"], "missing argument 'NAME'", "roost-agent token make --help"),
        (["token", "make", "a b"], "invalid value for 'NAME'", "roost-agent token make --help"),
    ],
)
def test_a_command_that_does_not_fit(arguments: list[str], error: str, hint: str) -> None:
    done = run("roost-agent", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    told, hinted = done.stderr.splitlines()
    assert told.startswith(f"error: {error}")
    assert hinted == f"hint: {hint}"


def test_both_programs_tell_alike() -> None:
    of_agent, of_roost = run("roost-agent", "xyzzy"), run("roost", "xyzzy")
    assert of_agent.returncode == of_roost.returncode == 2
    assert of_agent.stderr.replace("roost-agent", "roost") == of_roost.stderr


def test_no_verb_is_told_all_verbs() -> None:
    done = run("roost-agent")
    assert done.returncode == 2
    assert "serve" in done.stderr
    assert run("roost-agent", "--help").returncode == 0


def test_a_problem_is_1(tmp_path: Path) -> None:
    done = run("roost-agent", "check", "--config", str(tmp_path / "none.yaml"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "hint: " in done.stderr
