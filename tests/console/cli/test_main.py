"""`roost` itself: its version, its help, and how it ends."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.console.cli.commands import ROOST, environment, roost

pytestmark = pytest.mark.timeout(60)


def test_the_version_is_the_installed_one(tmp_path: Path) -> None:
    assert roost(tmp_path, "--version") == (0, f"roost {importlib.metadata.version('roost')}\n", "")


@pytest.mark.parametrize("noun", ["node", "gpu", "container"])
def test_a_noun_alone_tells_its_verbs(tmp_path: Path, noun: str) -> None:
    done = roost(tmp_path, noun)
    assert (done.code, done.out) == (2, "")
    assert "  ls " in done.err


@pytest.mark.parametrize(
    "arguments",
    [["nod"], ["node", "lss"], ["node", "ls", "--jsn"], ["node", "show"], ["--timeout=x", "node"]],
)
def test_what_does_not_fit_is_told_in_two_lines(tmp_path: Path, arguments: list[str]) -> None:
    done = roost(tmp_path, *arguments)
    assert (done.code, done.out) == (2, "")
    error, hint = done.err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: roost")
    assert hint.endswith("--help")


@pytest.mark.parametrize(("typed", "meant"), [("nod", "node"), ("contaner", "container")])
def test_a_mistyped_command_is_told_what_was_meant(tmp_path: Path, typed: str, meant: str) -> None:
    assert roost(tmp_path, typed).err.startswith(f"error: no such command '{typed}'; did you mean")
    assert f"'{meant}'?" in roost(tmp_path, typed).err
    assert "did you mean 'ls'?" in roost(tmp_path, meant, "lss").err
    assert "did you mean" not in roost(tmp_path, "xyzzy").err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("logs", "'container logs'"), ("install", "'node install'"), ("ls", "'node ls' or ")],
)
def test_a_verb_without_its_noun_is_told_whose_it_is(
    tmp_path: Path, typed: str, meant: str
) -> None:
    assert f"did you mean {meant}" in roost(tmp_path, typed).err


def test_every_command_has_help_that_costs_no_node(tmp_path: Path) -> None:
    nouns = {
        "node": ["ls", "show", "add", "rm"],
        "gpu": ["ls"],
        "container": ["ls", "logs", "exec", "start", "stop", "restart"],
        "doctor": [""],
        "demo": [""],
        "tui": [""],
        "completion": [""],
        "workload": ["check"],
    }
    for noun, verbs in nouns.items():
        for verb in verbs:
            done = roost(tmp_path, noun, *([verb] if verb else []), "-h")
            assert (done.code, done.err) == (0, ""), (noun, verb)
            assert done.out.startswith(f"Usage: roost {noun}"), (noun, verb)


def test_without_a_terminal_and_a_command_it_tells_what_there_is(tmp_path: Path) -> None:
    done = roost(tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "container" in done.err


def test_the_interface_needs_a_terminal(tmp_path: Path) -> None:
    done = roost(tmp_path, "tui")
    assert done.code == 2
    assert "needs a terminal" in done.err


def test_ctrl_c_is_130_without_a_trace(tmp_path: Path, short_folder: Path) -> None:
    path = short_folder / "hangs.sock"
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(f"nodes: [{{name: hangs, address: 'unix://{path}'}}]\n")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with subprocess.Popen(
            [ROOST, "--fleet", fleet, "node", "ls"],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(tmp_path),
        ) as process:
            connection, _ = server.accept()
            connection.recv(1)  # it asks, and will get no answer
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
            connection.close()
    assert (process.returncode, out, err.strip()) == (130, b"", b"")


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [ROOST, "completion", "bash"],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=environment(tmp_path),
            check=False,
        )
    finally:
        os.close(writing)
    assert done.stderr == b""
