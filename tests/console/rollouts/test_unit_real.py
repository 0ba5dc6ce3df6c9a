"""The systemd unit that the docs tell of, on a whole machine: killed, it comes back and goes on."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real.bare_machine import BareMachine
from tests.real.fixtures import MachineFactory
from tests.waiting import wait_until

# The Debian whose Python takes the modules of this one.
ROOT = {(3, 11): "machine-bookworm", (3, 13): "machine-trixie"}.get(sys.version_info[:2])

pytestmark = [
    pytest.mark.real,
    pytest.mark.runtimes,
    pytest.mark.timeout(180),
    pytest.mark.skipif(ROOT is None, reason="no machine here has this Python"),
]

PROJECT = Path(__file__).parents[3]
UNIT = PROJECT / "console" / "rollouts" / "roost-rollouts.service"
LIBRARY = "/opt/console"
PROGRAM = """\
#!/usr/bin/python3 -IS
import sys
sys.path.insert(0, "{library}")
from {package}.cli.main import main
main()
"""
RELEASE = """\
name: app
x-roost: {rollout: {gate: manual, soak: 0s, min_healthy: 0s}}
services:
  web:
    image: edge/gateway:1.9.0
    x-roost: {soak: 0s}
"""


class Host:
    """A machine with `roost`, a simulated node, and the unit set up as its own head says."""

    def __init__(self, machine: BareMachine) -> None:
        self.machine = machine
        self._install_roost()
        unit = UNIT.read_text()
        machine.path("/root/roost-rollouts.service").write_text(unit)
        commands = re.findall(r"^#   (.+)$", unit, re.MULTILINE)
        assert len(commands) == 4
        for command in commands[:2]:
            machine.enter("sh", "-euc", command)
        machine.path("/etc/roost").mkdir()
        nodes = self._nodes()
        self.node = str(nodes["nodes"][0]["name"])
        machine.path("/etc/roost/fleet.yaml").write_text(json.dumps(nodes))
        for command in commands[2:]:
            machine.enter("sh", "-euc", f"cd /root; {command}")

    def _install_roost(self) -> None:
        library = self.machine.path(LIBRARY)
        library.mkdir()
        for package in ("agent", "console"):
            shutil.copytree(PROJECT / package, library / package)
            program = (
                self.machine.path("/usr/local/bin")
                / {
                    "agent": "roost-agent",
                    "console": "roost",
                }[package]
            )
            program.write_text(PROGRAM.format(library=LIBRARY, package=package))
            program.chmod(0o755)
        lock = (PROJECT / "requirements" / "demo.txt").read_text()
        for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE):
            try:
                files = importlib.metadata.files(name) or ()
            except importlib.metadata.PackageNotFoundError:
                continue  # for another system or Python
            for file in files:
                source = Path(str(file.locate()))
                if ".." not in file.parts and source.is_file():
                    (library / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, library / file)

    def _nodes(self) -> Any:
        """Served as the unit's own user, who steers; as a fleet.yaml has them."""
        self.machine.enter("install", "-d", "-o", "roost-console", "/srv/nodes")
        self.machine.enter(
            *("systemd-run", "--unit=nodes", "--uid=roost-console"),
            *("--property=StandardOutput=file:/srv/nodes/list", "--"),
            *("roost-agent", "simulate", "--nodes=1", "--faults=none", "--folder=/srv/nodes/a"),
        )
        listed = self.machine.path("/srv/nodes/list")
        wait_until(lambda: listed.exists() and listed.read_text().endswith("\n"))
        return json.loads(listed.read_text())

    def roost(self, *words: str) -> str:
        """As a person who is in group roost, on the machine."""
        state = "ROOST_STATE=/var/lib/roost-console"
        who = ("runuser", "-u", "roost-console", "--", "env", state)
        fleet = ("--fleet", "/etc/roost/fleet.yaml")
        done = self.machine.tried(*who, "roost", *fleet, "rollout", *words)
        assert done.returncode == 0, done.stdout + done.stderr + self.log()
        return done.stdout + ("" if "--json" in words else done.stderr)

    def shown(self, name: str) -> str:
        asked = ("systemctl", "show", "roost-rollouts", f"--property={name}", "--value")
        return self.machine.enter(*asked).strip()

    def state(self, rollout: str) -> str:
        return str(json.loads(self.roost("status", rollout, "--json"))["state"])

    def log(self) -> str:
        return self.machine.tried("journalctl", "-u", "roost-rollouts", "-n", "60").stdout


def test_killed_it_is_started_again_and_goes_on(machine_factory: MachineFactory) -> None:
    assert ROOT is not None
    host = Host(machine_factory(ROOT))
    host.machine.path("/srv/app.yaml").write_text(RELEASE)
    to = f"@{host.node}"
    plan = str(json.loads(host.roost("plan", "/srv/app.yaml", "--to", to, "--json"))["id"])
    process = host.shown("MainPID")
    told = host.roost("start", plan, "--detach")
    assert f"the supervisor (process {process}) steers it" in told
    wait_until(lambda: host.state(plan) == "gate")

    host.machine.enter("kill", "-KILL", process)
    wait_until(lambda: host.shown("NRestarts") == "1" and host.shown("ActiveState") == "active")
    assert host.shown("MainPID") not in ("0", process)
    host.roost("promote", plan)
    wait_until(lambda: host.state(plan) == "done")

    # Told to end, it is not started again.
    host.machine.enter("systemctl", "stop", "roost-rollouts")
    assert host.shown("Result") == "success"
