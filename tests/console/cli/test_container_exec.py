"""`roost container exec`."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
from pathlib import Path

import pytest

from tests.console.cli.commands import ROOST, environment, roost
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(60)


def test_output_and_exit_code_of_a_simulated_command(tmp_path: Path, fleet: Path) -> None:
    run = ("--fleet", fleet, "container", "exec", "plant-1-t4", "gateway", "--")
    assert roost(tmp_path, *run, "echo", "-n", "x").code == 0
    assert roost(tmp_path, *run, "sh", "-c", "exit 7") == (7, "", "")


def test_read_only_and_terminals_that_are_none(tmp_path: Path, fleet: Path) -> None:
    rest = ("--fleet", fleet, "container", "exec", "-t", "plant-1-t4", "gateway", "sh")
    done = roost(tmp_path, *rest)
    assert done.code == 2
    assert "Leave out -t" in done.err
    assert roost(tmp_path, "--read-only", *rest).code == 2


def test_an_environment_that_is_none(tmp_path: Path, fleet: Path) -> None:
    rest = ("--fleet", fleet, "container", "exec", "-e", "X", "plant-1-t4", "gateway", "env")
    done = roost(tmp_path, *rest)
    assert (done.code, done.out) == (2, "")
    assert "NAME=VALUE" in done.err


def run_busybox(engine: DockerEngine) -> None:
    engine.docker("run", "-d", "--init", "--name", "box", IMAGE, "sleep", "1000")


@pytest.mark.real
@pytest.mark.timeout(120)
def test_pipes_go_through_byte_by_byte(
    docker_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    run_busybox(docker_engine)
    command: list[str | Path] = [ROOST, "--fleet", docker_fleet, "container", "exec"]
    data = bytes(range(256)) * 1000

    def execute(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*command, *arguments],
            input=given,
            capture_output=True,
            env=environment(tmp_path),
            check=False,
            timeout=60,
        )

    done = execute("-i", "dock", "box", "--", "cat", given=data)
    assert (done.returncode, done.stdout == data, done.stderr) == (0, True, b"")
    done = execute("dock", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (done.returncode, done.stdout, done.stderr) == (42, b"out\n", b"err\n")
    done = execute("-e", "A=b c", "-w", "/bin", "dock", "box", "--", "sh", "-c", "pwd; echo $A")
    assert done.stdout == b"/bin\nb c\n"
    done = execute("dock", "box", "--", "/no/such/program")
    assert done.returncode not in (0, 130)
    assert b"Traceback" not in done.stderr


@pytest.mark.real
@pytest.mark.timeout(120)
def test_output_without_a_terminal_of_its_own_is_cleaned_for_ours(
    docker_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    run_busybox(docker_engine)
    command: list[str | Path] = [
        ROOST,
        "--fleet",
        docker_fleet,
        "container",
        "exec",
        "dock",
        "box",
        "--",
    ]
    script = r"printf '\033]0;owned\007\033[2Jred\302\2331m\n'"
    with Terminal([*command, "sh", "-c", script], env=environment(tmp_path)) as terminal:
        assert terminal.wait_exit(20) == 0
        assert "red" in terminal.screen_text()
        assert b"\x1b" not in terminal.output
        assert "owned" not in terminal.screen_text()


@pytest.mark.real
@pytest.mark.timeout(120)
def test_a_shell_in_a_real_container_has_a_real_terminal(
    docker_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    run_busybox(docker_engine)
    command: list[str | Path] = [
        ROOST,
        "--fleet",
        docker_fleet,
        "container",
        "exec",
        "-it",
        "dock",
        "box",
        "--",
        "sh",
    ]
    with Terminal(command, env=environment(tmp_path), columns=90, lines=30) as terminal:
        terminal.wait_for("#", 20)
        terminal.send("stty size; tty; echo $TERM\r")
        terminal.wait_for("30 90", 20)
        terminal.wait_for("/dev/pts/", 20)
        terminal.wait_for("xterm-256color", 20)
        terminal.resize(100, 40)
        terminal.wait_until(lambda: asks_size(terminal, "40 100"), "the new size", 20)
        terminal.send("sleep 1000\r")
        terminal.wait_for("sleep 1000", 20)
        # Ends sleep, neither the shell nor roost.
        terminal.wait_until(lambda: interrupts(terminal), "the prompt again", 20)
        terminal.send("echo still $((40 + 2))\r")
        terminal.wait_for("still 42", 20)
        terminal.send("exit 9\r")
        assert terminal.wait_exit(20) == 9


def interrupts(terminal: Terminal) -> bool:
    """Whether Ctrl+C brought the prompt back; too early, it meets the shell alone."""
    terminal.press("ctrl+c")
    lines = "\n".join(terminal.emulator.lines_of_text())
    return "#" in lines.rpartition("sleep 1000")[2]


def asks_size(terminal: Terminal, wanted: str) -> bool:
    terminal.send("stty size\r")
    return any(wanted in line for line in terminal.emulator.lines_of_text())


def test_the_terminal_is_as_it_was_before(tmp_path: Path, fleet: Path) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    try:
        with subprocess.Popen(
            [ROOST, "--fleet", fleet, "container", "exec", "-it", "plant-1-t4", "gateway", "sh"],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=environment(tmp_path),
            start_new_session=True,
        ) as process:
            said = b""
            while b"#" not in said:
                said += os.read(ours, 1000)
            during = termios.tcgetattr(theirs)
            os.write(ours, b"exit 4\r")
            process.wait(40)  # its few bytes fit into the terminal's buffer
        assert process.returncode == 4
        assert not during[3] & termios.ECHO
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)
