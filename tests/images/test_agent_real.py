"""The agent's image: built by its Dockerfile over a real Debian, and run by container.sh."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from console.fleet.inventory import NodeEntry
from console.kits.agent_image import read_agent_image
from console.kits.making import make_kit
from tests.console.cli.commands import roost, write_fleet
from tests.real import roots
from tests.real.docker_engine import DockerEngine
from tests.real.fixtures import DockerEngineFactory

# Its base is what tests/real/make-roots makes.
pytestmark = [pytest.mark.real, pytest.mark.runtimes, pytest.mark.timeout(400)]

FOLDER = Path(__file__).parent.parent.parent / "images" / "agent"
ROOT = "machine-bookworm"
BASE = "roost-test/debian:bookworm"
NAME = "roost/agent:test"


def base(engine: DockerEngine, folder: Path) -> None:
    """A Debian with Python 3.11, as an image."""
    archive = folder / "base.tar"
    with tarfile.open(archive, "w") as tar:
        for each in sorted(roots.folder(ROOT).iterdir()):
            if each.name not in ("proc", "sys", "dev", "run"):
                tar.add(each, each.name)
    engine.docker("import", str(archive), BASE, seconds=300)
    archive.unlink()


def test_it_is_a_node_like_any_other(
    docker_engine_factory: DockerEngineFactory, tmp_path: Path
) -> None:
    if not roots.is_made(ROOT):
        pytest.skip(f"no {roots.folder(ROOT)}: tests/real/make-roots makes it")
    engine = docker_engine_factory()
    base(engine, tmp_path)
    context = tmp_path / "context"
    shutil.copytree(FOLDER, context)
    _, kit = make_kit(context, arch=os.uname().machine, pythons=["3.11"], say=lambda _line: None)
    told = {"BASE": BASE, "KIT": kit.id, "VERSION": kit.version}
    build = [word for key, value in told.items() for word in ("--build-arg", f"{key}={value}")]
    engine.docker(*("build", "--network", "none", *build, "--tag", NAME, str(context)), seconds=300)
    saved = tmp_path / "agent.tar"
    engine.docker("save", "--output", str(saved), NAME, seconds=300)
    assert read_agent_image(saved).kit == kit.id
    saved.unlink()
    engine.enter("mount", "-t", "tmpfs", "tmpfs", "/opt")  # the machine's own stays as it is
    socket = engine.url.removeprefix("unix://")
    machine = f"/proc/{engine.enclosure.pid}/root"  # process 1 is not of the enclosure
    for _ in range(2):  # the second takes the place of the first
        engine.enter(
            *("env", f"DOCKER_HOST={engine.url}", f"RUNTIME_SOCKET={socket}"),
            f"ROOST_HOST={machine}",
            *("sh", str(context / "container.sh"), "run", NAME),
        )
    up = "until docker logs roost-agent 2>&1 | grep -q 'is up'; do sleep 0.2; done"
    engine.enter("env", f"DOCKER_HOST={engine.url}", "sh", "-c", up, seconds=120)
    # Its socket is on the machine, that is, in the enclosure.
    place = f"{machine}/run/roost/agent.sock"
    fleet = write_fleet(tmp_path / "fleet.yaml", [NodeEntry(name="box", address=f"unix://{place}")])
    engine.docker("exec", "roost-agent", "roost-agent", "token", "ls")
    shown = roost(tmp_path, "--fleet", fleet, "node", "show", "box", "--json")
    assert shown.code == 0, shown.err + engine.docker("logs", "roost-agent")
    facts = shown.json["facts"]
    assert facts["runtime"]["state"] == "ok"
    assert facts["name"] == os.uname().nodename
    names = {each["name"] for each in shown.json["containers"]}
    assert "roost-agent" in names
    (inspected,) = json.loads(engine.docker("inspect", "roost-agent"))
    assert inspected["HostConfig"]["PidMode"] == "host"
    assert inspected["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
