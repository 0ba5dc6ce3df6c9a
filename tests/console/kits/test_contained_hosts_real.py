"""Hosts that are not as most: without systemd and shadow's commands, and with Podman alone."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path

import pytest

from console.kits.agent_image import AgentImage
from tests.console.kits.machine_console import Console
from tests.real.bare_machine import WITH_DOCKER, WITH_PODMAN, BareMachine
from tests.real.busybox import write_root
from tests.real.fixtures import MachineFactory

pytestmark = [pytest.mark.runtimes, pytest.mark.timeout(600)]

DOCKERD = "dockerd >/var/log/dockerd.log 2>&1 &\nuntil docker info; do sleep 0.2; done"
SHADOW = ("groupadd", "usermod", "groupdel", "addgroup", "delgroup", "getent")
# As busybox has them: no package of Debian's does.
APPLETS = {
    "addgroup": """\
[ "$1" != -S ] || shift
case $# in
1) echo "$1:x:901:" >>/etc/group ;;
2) sed -i "s/^$2:.*:$/&$1/" /etc/group ;;
esac
""",
    "delgroup": 'sed -i "/^$1:/d" /etc/group\n',
}
TOOLKIT = "#!/bin/sh\necho NVIDIA Container Toolkit CLI version 1.17.8\n"
CDI = '{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "0"}]}'
# A machine without cgroup controllers, whose own disk is an overlay already.
PODMAN = """
systemctl disable --now docker.socket docker.service
rm -f /run/docker.sock /usr/bin/docker
mkdir -p /etc/containers
cat >/etc/containers/storage.conf <<END
[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
END
cat >/etc/containers/containers.conf <<END
[containers]
pids_limit = 0
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
END
systemctl enable --now podman.socket
"""


def show(roost: Console, name: str) -> dict[str, object]:
    """As soon as its agent answers."""
    deadline = time.monotonic() + 90
    while (asked := roost("node", "show", name, "--json")).returncode:
        assert time.monotonic() < deadline, asked.stderr
        time.sleep(0.5)
    facts: dict[str, object] = json.loads(asked.stdout)["facts"]
    return facts


def codes(roost: Console, *words: str) -> list[str]:
    done = roost(*words, "--json")
    (host,) = json.loads(done.stdout)
    return [each["code"] for each in (host["problem"], *host["further"])]


def put(machine: BareMachine, path: str, text: str) -> None:
    file = machine.path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


@pytest.mark.real("machine_with_docker")
def test_a_machine_without_systemd_and_shadow(
    machine_factory: MachineFactory, agent_image: AgentImage, short_folder: Path, tmp_path: Path
) -> None:
    machine = machine_factory(WITH_DOCKER, starts=DOCKERD)
    roost = Console(short_folder, machine)
    assert machine.enter("cat", "/proc/1/comm") == "sh\n"
    for name in SHADOW:
        machine.enter("sh", "-c", f"rm -f $(command -v {name})")
    write_root(tmp_path / "busybox.tar")
    machine.path("/srv/busybox.tar").write_bytes((tmp_path / "busybox.tar").read_bytes())
    machine.enter("docker", "import", "/srv/busybox.tar", "mine:1")
    machine.enter("docker", "create", "--name", "roost-agent", "mine:1", "true")

    install = ("node", "install", "ssh://node", "--image", str(agent_image.path), "--name", "edge")
    assert codes(roost, *install, "--check") == ["kit.name", "kit.group"]
    machine.enter("docker", "rename", "roost-agent", "other")
    for name, script in APPLETS.items():
        put(machine, f"/usr/local/sbin/{name}", f"#!/bin/sh\n{script}")

    # What the agent is to find, by links that lead elsewhere from inside its container.
    put(machine, "/srv/ctk", TOOLKIT)
    machine.enter("ln", "-s", "/srv/ctk", "/usr/bin/nvidia-ctk")
    put(machine, "/run/cdi/nvidia.json", CDI)
    machine.enter("docker", "save", "--output", "/srv/mine.tar", "mine:1")
    machine.enter("ln", "-s", "/srv/mine.tar", "/mnt/mine.tar")

    done = roost(*install, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "docker keeps it running, no systemd is here" in done.stdout
    assert "roost" in machine.enter("id", "-nG", "field").split()
    facts = show(roost, "edge")
    toolkit = facts["toolkit"]
    assert isinstance(toolkit, dict)
    assert (toolkit["version"], toolkit["ctk_path"]) == ("1.17.8", "/usr/bin/nvidia-ctk")
    assert toolkit["cdi_specs"] == ["/var/run/cdi/nvidia.json"]
    disks = facts["disks"]
    assert isinstance(disks, list)
    assert [(each["path"], sorted(each["purposes"])) for each in disks] == [
        ("/", ["roost", "runtime", "system"])
    ]
    host = facts["host"]
    assert isinstance(host, dict)
    assert host["os_id"] == "debian"
    imported = roost("image", "import", "edge", "/mnt/mine.tar")
    assert imported.returncode == 0, imported.stderr
    missing = roost("image", "import", "edge", "/srv/none.tar")
    assert "/srv/none.tar: No such file or directory" in missing.stderr
    assert "/proc/1/root" not in missing.stderr

    machine.power_cut()
    machine.boot()
    show(roost, "edge")

    keeping = ("docker", "create", "--name", "keeps", "--volume")
    machine.enter(*keeping, "/var/lib/roost/models:/m", "mine:1", "true")
    purge = ("node", "uninstall", "edge", "--purge", "--yes")
    refused = roost(*purge)
    assert refused.returncode == 1
    assert "keeps" in refused.stderr
    machine.enter("docker", "rm", "keeps")
    gone = roost(*purge)
    assert gone.returncode == 0, gone.stderr
    assert machine.enter("docker", "ps", "--all", "--format", "{{.Names}}") == "other\n"
    assert "roost" not in machine.path("/etc/group").read_text()
    for path in ("/opt/roost", "/etc/roost", "/var/lib/roost"):
        assert not machine.path(path).exists(), path


@pytest.mark.real("machine_with_podman")
def test_a_machine_with_podman(
    machine_factory: MachineFactory, agent_image: AgentImage, short_folder: Path, tmp_path: Path
) -> None:
    machine = machine_factory(WITH_PODMAN)
    roost = Console(short_folder, machine)
    machine.enter("sh", "-euc", PODMAN)
    install = ("node", "install", "ssh://node", "--image", str(agent_image.path), "--name", "edge")
    checked = roost(*install, "--check")
    assert checked.returncode == 0, checked.stderr
    assert "podman run --rm --log-driver none" in checked.stdout
    done = roost(*install, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    runtime = show(roost, "edge")["runtime"]
    assert isinstance(runtime, dict)
    assert (runtime["name"], runtime["state"]) == ("Podman", "ok")

    machine.power_cut()
    machine.boot()
    show(roost, "edge")
    # What it said is in the machine's journal, which a program of the machine's tells.
    mail = tmp_path / "mail.zip"
    assert roost("node", "support", "edge", "-o", str(mail)).returncode == 0
    with zipfile.ZipFile(mail) as parts:
        assert "systemd[1]: Started roost-agent.service" in parts.read("agent.log").decode()

    gone = roost("node", "uninstall", "edge", "--purge", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert machine.enter("podman", "ps", "--all", "--quiet") == ""
    assert machine.enter("podman", "images", "--quiet") == ""

    # Without systemd nobody would start it after a boot.
    machine.power_cut()
    machine.starts = "podman system service --time=0 unix:///run/podman.sock 2>/dev/null &"
    machine.boot()
    assert codes(roost, *install, "--check") == ["kit.service"]
