"""The agent's image: built of a real kit over a real Debian, and run as images/agent/run says."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from console.fleet.inventory import NodeEntry
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
    make_kit(context, arch=os.uname().machine, pythons=["3.11"], say=lambda _line: None)
    build = ("build", "--network", "none", "--build-arg", f"BASE={BASE}")
    engine.docker(*build, "--tag", "roost/agent", str(context), seconds=300)
    socket = engine.url.removeprefix("unix://")
    for _ in range(2):  # the second takes the place of the first
        engine.enter(
            *("env", f"DOCKER_HOST={engine.url}", f"RUNTIME_SOCKET={socket}"),
            *("sh", str(context / "run")),
        )
    # Its socket is on the machine, that is, in the enclosure.
    place = f"/proc/{engine.enclosure.pid}/root/run/roost/agent.sock"
    fleet = write_fleet(tmp_path / "fleet.yaml", [NodeEntry(name="box", address=f"unix://{place}")])
    engine.docker("exec", "roost-agent", "roost-agent", "token", "ls")
    ready = "until test -S /run/roost/agent.sock; do sleep 0.1; done"
    engine.enter("sh", "-c", ready)
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
