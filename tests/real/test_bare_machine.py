"""The bare machine is one: systemd runs it, sshd lets people in, and it has no network."""

from __future__ import annotations

import shlex

import pytest

from tests.real.bare_machine import ROOTS
from tests.real.commands import run
from tests.real.fixtures import MachineFactory

pytestmark = [pytest.mark.real, pytest.mark.runtimes]


@pytest.mark.parametrize("root", ROOTS)
def test_it_boots_lets_people_in_and_has_no_network(
    machine_factory: MachineFactory, root: str
) -> None:
    machine = machine_factory(root)
    assert machine.enter("cat", "/proc/1/comm") == "systemd\n"
    ssh = shlex.split(machine.ssh)
    assert run(*ssh, "node", "id -un; sudo -n id -un").stdout.split() == ["field", "root"]
    assert run(*ssh, "root-node", "hostname").stdout == "bare\n"
    assert "eth" not in machine.enter("ip", "-brief", "link")


def test_after_a_power_cut_its_disk_is_as_it_was(machine_factory: MachineFactory) -> None:
    machine = machine_factory()
    machine.enter("sh", "-c", "echo kept >/srv/kept; sync")
    machine.power_cut()
    machine.boot()
    assert machine.enter("cat", "/srv/kept") == "kept\n"
