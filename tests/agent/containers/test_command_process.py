"""Ending the process of a command, on processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from agent.containers.command_process import CommandProcess, end_process, find_process

ANY = "/"  # is in the text of every process's cgroups
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands that lead a session of their own, as a runtime starts an exec."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str, leads: bool = True) -> subprocess.Popen[str]:
        # Whoever runs the tests may ignore hang-ups, and children take that over.
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            child = subprocess.Popen(
                words, stdout=subprocess.PIPE, text=True, start_new_session=leads
            )
        finally:
            signal.signal(signal.SIGHUP, before)
        started.append(child)
        return child

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def found(child: subprocess.Popen[str]) -> CommandProcess:
    process = find_process(child.pid, ANY)
    assert process is not None
    return process


def test_a_process_of_something_else_is_not_found(start: Start, tmp_path: Path) -> None:
    child = start("sleep", "600")
    assert find_process(child.pid, "f" * 64) is None
    assert find_process(2**22 + 1, ANY) is None  # more than Linux gives
    # A /proc in which we are another number is not that of our pid namespace.
    (tmp_path / str(child.pid)).symlink_to(f"/proc/{child.pid}")
    (tmp_path / "self").symlink_to("1")
    assert find_process(child.pid, ANY, tmp_path) is None
    assert child.poll() is None


def test_a_hang_up_is_enough(start: Start) -> None:
    child = start("sleep", "600")
    assert end_process(found(child)) is None
    assert child.wait() == -signal.SIGHUP


def test_a_stopped_process_too(start: Start) -> None:
    child = start("sleep", "600")
    os.kill(child.pid, signal.SIGSTOP)
    assert end_process(found(child)) is None
    assert child.wait() == -signal.SIGHUP


def test_one_that_takes_a_hang_up_for_something_else_is_killed(start: Start) -> None:
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGHUP, lambda *_: None)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    child = start(sys.executable, "-c", code)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    assert end_process(found(child), hang_up_seconds=0.1) is None
    assert child.wait() == -signal.SIGKILL


def test_one_that_ignores_hang_ups_stays(start: Start) -> None:
    child = start("nohup", "sleep", "600")
    assert child.stdout is not None
    while b"sleep" not in Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0")[0]:
        pass  # nohup has not become sleep yet
    assert "nohup" in str(end_process(found(child)))
    assert child.poll() is None


def test_its_whole_group_ends(start: Start) -> None:
    child = start("sh", "-c", "sleep 600 & echo $!; wait")
    assert child.stdout is not None
    assert int(child.stdout.readline()) != child.pid
    process = found(child)
    assert process.leads
    assert end_process(process) is None
    assert child.stdout.read() == ""  # the other one held it open


def test_without_a_group_of_its_own_it_ends_alone(start: Start) -> None:
    child = start("sleep", "600", leads=False)
    process = found(child)
    assert not process.leads
    assert end_process(process) is None  # and the tests go on
    assert child.wait() == -signal.SIGHUP


def test_what_is_over_or_has_another_ones_pid_is_left_alone(start: Start) -> None:
    child = start("sleep", "600")
    process = found(child)
    earlier = msgspec.structs.replace(process, started=process.started - 1)
    assert end_process(earlier) is None
    assert child.poll() is None
    child.kill()
    assert end_process(process) is None  # a zombie
    child.wait()
    assert end_process(process) is None


def test_without_the_right_it_says_so(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError(pid, number)

    child = start("sleep", "600")
    monkeypatch.setattr("os.killpg", refuse)
    assert end_process(found(child)) == "the agent may not signal it"
    assert child.poll() is None
