"""A machine with Docker 20.10 and without any Python becomes a node: all of it is real."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from console.kits.agent_image import AgentImage
from console.kits.reading import Kit, read_kit
from tests.broken_kits import broken_kit
from tests.console.kits.machine_console import Console
from tests.kits_made import other_version
from tests.real.bare_machine import WITH_DOCKER, BareMachine
from tests.real.busybox import write_root
from tests.real.fixtures import MachineFactory

pytestmark = [
    pytest.mark.real("machine_with_docker"),
    pytest.mark.runtimes,
    pytest.mark.timeout(600),
]
SCRIPT = "agent/kit/container.sh"
# Of a container that is not Roost's: it must stay as it is.
FORMAT = "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}"


def own_container(machine: BareMachine, folder: Path) -> str:
    """One that somebody else runs there; its id."""
    root = folder / "busybox.tar"
    write_root(root)
    with root.open("rb") as file:
        machine.path("/root/busybox.tar").write_bytes(file.read())
    machine.enter("docker", "import", "/root/busybox.tar", "mine:1")
    machine.enter("rm", "/root/busybox.tar")
    words = ("run", "--detach", "--init", "--name", "mine", "--restart", "always", "mine:1")
    return machine.enter("docker", *words, "sleep", "100000").strip()


def state(machine: BareMachine) -> str:
    return machine.enter(
        "sh", "-c", "ls -A /opt /etc /var/lib /usr/local/bin; cat /etc/group; docker images -q"
    )


def test_a_machine_without_a_python_becomes_a_node(
    machine_factory: MachineFactory,
    agent_image: AgentImage,
    agent_kit: Kit,
    short_folder: Path,
    tmp_path: Path,
) -> None:
    machine, image, kit = machine_factory(WITH_DOCKER), agent_image, agent_kit
    roost = Console(short_folder, machine)
    assert machine.tried("sh", "-c", "command -v python3").returncode != 0
    mine = own_container(machine, tmp_path)
    before, runs = state(machine), machine.enter("docker", "inspect", "--format", FORMAT, mine)

    install = ("node", "install", "ssh://node", "--image", str(image.path))
    refused = roost("node", "install", "ssh://node", "--kit", str(kit.path), "--check")
    assert refused.returncode == 1
    assert "there is no python3 there" in refused.stderr
    checked = roost(*install, "--kit", str(kit.path), "--check")
    assert checked.returncode == 0, checked.stderr
    assert f"the agent will run as a container of {image.tag}" in checked.stdout
    assert (
        "docker run --rm --log-driver none --env JOURNAL_STREAM --name roost-agent"
        in checked.stdout
    )
    assert state(machine) == before

    for seconds in (2.0, 4.0):
        roost.killed_after(seconds, *install, "--name", "edge", "--yes")
    done = roost(*install, "--name", "edge", "--label", "site=x", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr + journal(machine)
    shown = json.loads(roost("node", "show", "edge", "--json").stdout)
    assert shown["labels"] == {"site": "x"}
    assert shown["facts"]["runtime"]["state"] == "ok"
    assert shown["facts"]["runtime"]["version"].startswith("20.10")
    assert shown["facts"]["agent"]["upgrade"]["kit"] == kit.about.id
    assert {each["name"] for each in shown["containers"]} == {"mine", "roost-agent"}
    assert machine.enter("systemctl", "is-active", "roost-agent").strip() == "active"
    assert "roost-agent" in machine.enter("roost-agent", "--version")
    assert machine.enter("ls", "-A", "/home/field/.cache/roost").strip() == ""

    # The same again, and after a power cut it is there by itself.
    again = roost(*install, "--yes")
    assert again.returncode == 0, again.stderr
    assert "is there already" in again.stdout
    machine.power_cut()
    machine.boot()
    answers(roost, machine)
    runs = machine.enter("docker", "inspect", "--format", FORMAT, mine)

    # Another version of the agent, as on any node; and one that does not come up goes back.
    second = other_version(kit.path, tmp_path, "9.0", {SCRIPT: later})
    upgrade = ("agent", "upgrade", "@edge", "--soak", "1s", "--attached", "--yes", "--kit")
    went = roost(*upgrade, str(second))
    assert went.returncode == 0, went.stdout + went.stderr + journal(machine)
    broken = broken_kit(kit.path, tmp_path, "crashes at import", "9.1")
    back = roost(*upgrade, str(broken))
    assert back.returncode == 1
    assert "there_is_no_such_module" in back.stdout + back.stderr
    shown = json.loads(roost("node", "show", "edge", "--json").stdout)
    assert shown["facts"]["agent"]["upgrade"]["kit"] == read_kit(second).about.id
    machine.enter("systemctl", "restart", "roost-agent")
    answers(roost, machine)
    # How its container is run, and the unit, are that version's from here on.
    assert "io.roost.later" in machine.enter("docker", "inspect", "roost-agent")
    assert "RestartSec=3" in machine.path("/etc/systemd/system/roost-agent.service").read_text()
    older = roost(*install, "--yes", "--json")
    assert json.loads(older.stdout)[0]["problem"]["code"] == "kit.older"

    gone = roost("node", "uninstall", "edge", "--purge", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert state(machine) == before
    assert machine.enter("docker", "inspect", "--format", FORMAT, mine) == runs
    assert machine.enter("docker", "ps", "--all", "--quiet", "--no-trunc").strip() == mine
    assert not machine.path("/etc/systemd/system/roost-agent.service").exists()


def later(script: bytes) -> bytes:
    """Of a version to come: another line, and another unit."""
    label = b"--label io.roost.agent=container"
    for was, new in (
        (label, label + b" --label io.roost.later=1"),
        (b"RestartSec=2", b"RestartSec=3"),
    ):
        assert was in script
        script = script.replace(was, new, 1)
    return script


def answers(roost: Console, machine: BareMachine) -> None:
    """Wait until the agent does; by then the runtime runs, too."""
    deadline = time.monotonic() + 60
    while (asked := roost("node", "show", "edge", "--json")).returncode:
        assert time.monotonic() < deadline, asked.stderr + journal(machine)
        time.sleep(0.5)


def journal(machine: BareMachine) -> str:
    return machine.tried("journalctl", "-u", "roost-agent", "-n", "60").stdout
