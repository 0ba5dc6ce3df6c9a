"""`roost node install` onto whole machines without a network: systemd, sshd, sudo are real."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.kits.making import make_kit
from tests.console.kits.machine_console import Console
from tests.kits_made import small_kit
from tests.real.bare_machine import ROOTS, BareMachine
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.fixtures import MachineFactory
from tests.real.socket_proxy import leading_to

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

# What the two machines have.
PYTHONS = ("3.11", "3.13")
COMPOSE = """\
services:
  web:
    image: {image}
    command: ["sleep", "1000"]
    init: true
    restart: always
    x-roost: {{soak: 0s}}
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real one, for the Pythons of the two machines."""
    folder = tmp_path_factory.mktemp("kits")
    return make_kit(folder, arch=os.uname().machine, pythons=PYTHONS, say=lambda _line: None)[0]


@pytest.fixture
def console(short_folder: Path) -> Callable[[BareMachine], Console]:
    return lambda machine: Console(short_folder, machine)


@pytest.mark.runtimes
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


@pytest.mark.runtimes
def test_uninstalled_all_else_stays_as_it_was(
    machine_factory: MachineFactory,
    docker_engine: DockerEngine,
    console: Callable[[BareMachine], Console],
    kit: Path,
    tmp_path: Path,
) -> None:
    """Its Docker is one outside, behind a socket in the machine."""
    machine = machine_factory(ROOTS[0])
    roost = console(machine)
    (tmp_path / "web.yaml").write_text(COMPOSE.format(image=IMAGE))
    with leading_to(Path(docker_engine.url[7:]), machine.path("/run/docker.sock")):
        done = roost("node", "install", "ssh://node", "--kit", str(kit), "--name", "edge", "--yes")
        assert done.returncode == 0, done.stderr
        apply = roost("workload", "apply", str(tmp_path / "web.yaml"), "--to", "@edge", "-y")
        assert apply.returncode == 0, apply.stderr
        other = docker_engine.docker("run", "--detach", "--init", IMAGE, "sleep", "1000")
        format_ = "{{.Id}} {{.State.StartedAt}} {{.State.Running}} {{.RestartCount}}"
        ids = docker_engine.docker("ps", "--quiet", "--no-trunc").split()
        assert len(ids) == 2
        assert other in ids
        before = docker_engine.docker("inspect", "--format", format_, *sorted(ids))
        images = docker_engine.docker("images", "--all", "--quiet", "--no-trunc")
        machine.enter("sh", "-c", "echo mine >/opt/roost/notes; echo mine >/etc/roost/notes")
        refused = roost("node", "uninstall", "edge", "--purge", "--yes")
        assert refused.returncode == 1
        assert "Roost placed web there" in refused.stderr
        gone = roost("node", "uninstall", "edge", "--yes")
        assert gone.returncode == 0, gone.stderr
        assert "1 workload go on" in gone.stderr
        assert docker_engine.docker("inspect", "--format", format_, *sorted(ids)) == before
        assert docker_engine.docker("images", "--all", "--quiet", "--no-trunc") == images
        assert machine.enter("find", "/opt/roost").split() == ["/opt/roost", "/opt/roost/notes"]
        assert machine.enter("cat", "/etc/roost/notes").strip() == "mine"
        assert machine.enter("ls", "/var/lib/roost/agent.db")
        assert not machine.path("/etc/systemd/system/roost-agent.service").exists()
        assert not machine.path("/usr/local/bin/roost-agent").is_symlink()
        assert machine.tried("systemctl", "is-active", "roost-agent").stdout.strip() == "inactive"
        assert "edge" not in (roost.folder / "fleet.yaml").read_text()
        # Its data is found again.
        done = roost("node", "install", "ssh://node", "--kit", str(kit), "--name", "edge", "--yes")
        assert done.returncode == 0, done.stderr
        assert "web" in roost("workload", "ls").stdout
    docker_engine.clear()


@pytest.mark.long
def test_an_install_that_is_cut_anywhere_goes_on(
    machine_factory: MachineFactory, console: Callable[[BareMachine], Console], kit: Path
) -> None:
    """The console is killed, so its ssh ends wherever it is; in the end one agent is there."""
    machine = machine_factory(ROOTS[0])
    roost = console(machine)
    words = ("node", "install", "ssh://node", "--kit", str(kit), "--name", "edge", "--yes")
    for seconds in (0.9, 1.3, 1.8, 2.4, 3.2):
        roost.killed_after(seconds, *words)
    # Somebody else edits fleet.yaml, and an editor knows no lock.
    fleet = roost.folder / "fleet.yaml"
    text = fleet.read_text() if fleet.exists() else "nodes:\n"
    fleet.write_text(text + "# mine\n- name: other\n  address: ssh://other  # too\n")
    done = roost(*words)
    assert done.returncode == 0, done.stderr
    assert "# mine" in fleet.read_text()
    nodes = {each["node"] for each in json.loads(roost("node", "ls", "--json").stdout)}
    assert nodes == {"edge", "other"}
    versions = machine.enter("sh", "-c", "ls -A /opt/roost | grep -v -e current -e start").split()
    assert len(versions) == 1
    assert machine.enter("systemctl", "is-active", "roost-agent").strip() == "active"
    assert machine.enter("ls", "-A", "/home/field/.cache/roost").strip() == ""


@pytest.mark.runtimes
def test_what_stands_in_the_way_is_told_and_changes_nothing(
    machine_factory: MachineFactory,
    console: Callable[[BareMachine], Console],
    kit: Path,
    tmp_path: Path,
) -> None:
    machine = machine_factory(ROOTS[1])
    roost = console(machine)
    state = ("sh", "-c", "ls -A /opt /etc /var/lib /usr/local/bin; cat /etc/group; ls /home/field")
    before = machine.enter(*state)

    def refused(*words: str, of: Path = kit) -> str:
        asked = ("node", "install", "ssh://node", "--kit", str(of), "--yes", "--json")
        done = roost(*asked, *words)
        assert done.returncode != 0
        (record,) = json.loads(done.stdout)
        assert not record["done"]
        assert record["problem"]["hint"]
        return str(record["problem"]["code"])

    @contextlib.contextmanager
    def with_(do: str, undo: str) -> Iterator[None]:
        machine.enter("sh", "-c", do)
        yield
        machine.enter("sh", "-c", undo)

    with with_("mv /etc/sudoers.d/field /root", "mv /root/field /etc/sudoers.d"):
        assert refused() == "kit.root"
    with with_("mount -t tmpfs -o ro tmpfs /opt", "umount /opt"):
        assert refused() == "kit.read_only"
    with with_("mount -t tmpfs -o size=1m tmpfs /opt", "umount /opt"):
        assert refused() == "kit.no_space"
    with with_("mv /usr/bin/python3 /root", "mv /root/python3 /usr/bin"):
        assert refused() == "kit.python"
    assert refused(of=small_kit(tmp_path, arch="s390x")) == "kit.none"
    small = small_kit(tmp_path, pythons=["3.12"])  # Debian 12 has 3.11
    assert refused(of=small) == "kit.python"
    whole = kit.read_bytes()
    cut = tmp_path / "cut.pyz"
    cut.write_bytes(whole[: len(whole) // 2])
    asked = roost("node", "install", "ssh://node", "--kit", str(cut), "--yes")
    assert asked.returncode != 0
    assert "not a zip file" in asked.stderr
    checked = roost("node", "install", "ssh://node", "--kit", str(kit), "--check")
    assert "no container runtime" in checked.stdout  # it can be installed, and told of
    keys = "/etc/ssh/ssh_host_ed25519_key"
    renew = f"rm {keys}*; ssh-keygen -q -t ed25519 -N '' -f {keys}; systemctl restart ssh"
    machine.enter("sh", "-c", renew)
    assert refused() == "ssh.host_key_changed"
    assert machine.enter(*state) == before
