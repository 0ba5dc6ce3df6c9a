"""`roost-agent simulate` as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulated import simulator_process

COMMAND = str(Path(sys.executable).with_name("roost-agent"))

pytestmark = pytest.mark.timeout(60)  # it starts Python processes


def test_it_lists_its_nodes_and_ends_with_its_parent() -> None:
    with simulator_process(9, seed=5) as simulator:
        nodes = simulator.nodes.nodes
        assert [node.name for node in nodes][:2] == ["plant-1-t4", "plant-2-a10"]
        for node in nodes:
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(node.address.removeprefix("unix://"))
        assert simulator.folder.stat().st_mode & 0o777 == 0o700
    assert not simulator.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_a_folder_that_was_there_stays(
    number: signal.Signals, short_folder: Path
) -> None:
    command = [COMMAND, "simulate", "--nodes=2", f"--folder={short_folder}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert len(json.loads(process.stdout.readline())["nodes"]) == 2
        process.send_signal(number)
        assert process.wait() == 0
    assert list(short_folder.iterdir()) == []


def test_too_few_open_files_are_told(short_folder: Path) -> None:
    limited = f"ulimit -n 256; exec {COMMAND} simulate --nodes=1000 --folder={short_folder}/nodes"
    done = subprocess.run(
        ["bash", "-c", limited], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 1
    assert "4100 open files" in done.stderr
    assert "hint: Ask for fewer nodes" in done.stderr
    assert not (short_folder / "nodes").exists()


def test_a_folder_that_cannot_be_made_is_told() -> None:
    done = subprocess.run(
        [COMMAND, "simulate", "--folder=/proc/nodes"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cannot make the folder /proc/nodes" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--nodes=0", "--change=1.5", "--faults=some"])
def test_an_option_that_does_not_fit_is_a_usage_error(option: str) -> None:
    done = subprocess.run(
        [COMMAND, "simulate", "--folder=/nowhere", option], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert option.split("=", maxsplit=1)[0] in done.stderr.decode()
