"""`roost node install` onto whole machines without a network: systemd, sshd, sudo are real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from console.kits.making import make_kit
from tests.real.bare_machine import ROOTS, BareMachine
from tests.real.fixtures import MachineFactory

pytestmark = [pytest.mark.real, pytest.mark.runtimes, pytest.mark.timeout(300)]

# What the two machines have.
PYTHONS = ("3.11", "3.13")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real one, for the Pythons of the two machines."""
    folder = tmp_path_factory.mktemp("kits")
    return make_kit(folder, arch=os.uname().machine, pythons=PYTHONS, say=lambda _line: None)[0]


class Console:
    """`roost` with a fleet of its own, whose ssh leads to one machine."""

    def __init__(self, folder: Path, machine: BareMachine) -> None:
        self.folder = folder
        self._environment = os.environ | {
            "ROOST_SSH": machine.ssh,
            "ROOST_FLEET": str(folder / "fleet.yaml"),
            "XDG_RUNTIME_DIR": str(folder),
        }

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "console.cli.main", *words],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
        )


@pytest.fixture
def console(short_folder: Path) -> Callable[[BareMachine], Console]:
    return lambda machine: Console(short_folder, machine)


@pytest.mark.parametrize("root", ROOTS)
def test_a_bare_machine_becomes_a_node(
    machine_factory: MachineFactory,
    console: Callable[[BareMachine], Console],
    kit: Path,
    root: str,
) -> None:
    machine = machine_factory(root)
    roost = console(machine)
    before = machine.enter("find", "/etc", "/opt", "/usr/local", "-newer", "/etc/hostname")
    checked = roost("node", "install", "ssh://node", "--kit", str(kit), "--check")
    assert checked.returncode == 0, checked.stderr
    assert "let field use the agent" in checked.stdout
    after = machine.enter("find", "/etc", "/opt", "/usr/local", "-newer", "/etc/hostname")
    assert after == before
    done = roost("node", "install", "ssh://node", "--kit", str(kit), "--label", "site=x", "--yes")
    assert done.returncode == 0, done.stderr
    shown = json.loads(roost("node", "show", "bare", "--json").stdout)
    assert shown["labels"] == {"site": "x"}
    assert machine.enter("systemctl", "is-enabled", "roost-agent").strip() == "enabled"
    machine.power_cut()
    machine.boot()
    assert machine.enter("systemctl", "is-active", "roost-agent").strip() == "active"
    again = roost("node", "install", "ssh://node", "--kit", str(kit), "--yes")
    assert again.returncode == 0, again.stderr
    assert "is there already" in again.stdout
