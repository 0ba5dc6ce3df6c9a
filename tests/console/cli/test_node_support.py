"""`roost node support`: one file, no secret in it, and what could not be had is said."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli.token import command as token
from console.fleet.cache import PictureCache
from console.fleet.fleet_file import load_inventory
from console.fleet.inventory import NodeEntry
from console.fleet.picture import NodeView
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, environment, roost, write_fleet
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = pytest.mark.timeout(90)

COMPOSE = """\
name: shop
services:
  web:
    image: {image}
    command: ["sh", "-c", "sleep 1000", "x", "--password", "PLANTED-argument"]
    init: true
    environment:
      DB_PASSWORD: PLANTED-named
      MODE: PLANTED-unnamed
      CAMERA: rtsp://admin:PLANTED-url@10.0.0.7/x
    labels: {{com.acme.token: PLANTED-label}}
    secrets: [camera]
    x-roost: {{soak: 0s}}
secrets:
  camera: {{external: true}}
"""


@pytest.fixture
def node(
    docker_engine: DockerEngine, short_folder: Path, tmp_path: Path
) -> Iterator[tuple[Path, str]]:
    """A real agent with a secret planted wherever one can be; its fleet, and a token of it."""
    settings = {"runtime": docker_engine.url, "secrets": str(short_folder / "secrets")}
    with AgentProcess(short_folder, settings) as agent:
        entry = NodeEntry(name="edge", address=f"unix://{agent.sockets['admin']}")
        fleet = write_fleet(tmp_path / "fleet.yaml", [entry])
        (tmp_path / "web.yaml").write_text(COMPOSE.format(image=IMAGE))
        put = ("--fleet", fleet, "secret", "set", "edge", "camera")
        done = roost(tmp_path, *put, given="PLANTED-secret")
        assert done.code == 0, done.err
        apply = ("--fleet", fleet, "workload", "apply", tmp_path / "web.yaml", "--to", "@edge")
        done = roost(tmp_path, *apply, "-y")
        assert done.code == 0, done.out + done.err
        command = ["sh", "-c", "true", "--api-key=PLANTED-audit"]
        done = roost(tmp_path, "--fleet", fleet, "container", "exec", "edge", "web", "--", *command)
        assert done.code == 0, done.err
        made = CliRunner().invoke(token, ["make", "x", "--config", str(agent.config)])
        yield fleet, made.output.strip()
    docker_engine.clear()


def support(home: Path, fleet: Path, node: str, *more: str) -> tuple[Done, dict[str, str]]:
    """How it ended, and the file's parts."""
    file = home / "out.zip"
    done = roost(home, "--fleet", fleet, "node", "support", node, "-o", file, "--force", *more)
    if not file.exists():
        return done, {}
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        return done, {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.real
def test_all_of_a_real_node_and_none_of_its_secrets(tmp_path: Path, node: tuple[Path, str]) -> None:
    fleet, secret_token = node
    done, parts = support(tmp_path, fleet, "edge")
    lacks = [line for line in done.err.splitlines() if line.startswith("not had")]
    assert (done.code, lacks) == (0, []), done.err
    assert json.loads(parts["facts.json"])["name"] == "under-test"
    assert {check["check"] for check in json.loads(parts["doctor.json"])["checks"]} >= {"disk"}
    assert "image" in parts["containers.json"]
    snapshot = json.loads(parts["snapshot.json"])
    assert snapshot["secrets"] == ["camera"]
    assert snapshot["configuration"]["name"] == '"under-test"'
    actions = {record["action"] for record in json.loads(parts["audit.json"])}
    assert {"secret.set", "container.exec"} <= actions
    assert "agent of under-test is up" in parts["agent.log"]
    assert "it does not run under systemd" in parts["README.txt"]
    assert "shop" in parts["workloads.json"]
    for name, text in parts.items():
        assert "PLANTED" not in text, name
        assert secret_token not in text, name
        assert "PRIVATE KEY" not in text, name
    assert (tmp_path / "out.zip").stat().st_mode & 0o777 == 0o600


def test_a_part_that_fails_keeps_no_other_away(tmp_path: Path, short_folder: Path) -> None:
    """The agent's log is not for viewers."""
    with AgentProcess(short_folder) as agent:
        entry = NodeEntry(name="edge", address=f"unix://{agent.sockets['viewer']}")
        fleet = write_fleet(tmp_path / "fleet.yaml", [entry])
        done, parts = support(tmp_path, fleet, "edge", "--json")
    assert done.code == 1
    assert "agent.log" in done.json["lacks"]
    assert "agent.log" not in parts
    assert done.json["bytes"] == (tmp_path / "out.zip").stat().st_size
    assert "NOT HAD  auth.role" in parts["README.txt"]
    assert json.loads(parts["facts.json"])["name"] == "under-test"


def test_a_simulated_node_has_all_parts(tmp_path: Path, fleet: Path) -> None:
    done, parts = support(tmp_path, fleet, "plant-1-t4", "--json")
    assert (done.code, done.json["lacks"]) == (0, {})
    assert len(json.loads(parts["gpus.json"])["gpus"]) == 2
    assert "DCGM_FI_DEV_FB_USED" in parts["metrics.txt"]


async def test_a_node_that_is_away_leaves_what_was_known_and_when(
    tmp_path: Path, fleet: Path
) -> None:
    entries = {entry.name: entry for entry in load_inventory(fleet).nodes}
    said = roost(tmp_path, "--fleet", fleet, "node", "show", "plant-1-t4", "--json").json["facts"]
    view = NodeView(entries["plant-1-offline"])
    said["host"]["machine"] = "a board, DB_PASSWORD=PLANTED"
    view.sections = {"facts": {"": {**said, "name": "plant-1-offline"}}}
    view.seen_at = 1_700_000_000.0
    await PictureCache.of_fleet(fleet, environment(tmp_path)).save({"plant-1-offline": view})
    done, parts = support(tmp_path, fleet, "plant-1-offline")
    assert done.code == 3
    assert json.loads(parts["facts.json"])["host"]["architecture"] == said["host"]["architecture"]
    assert "PLANTED" not in parts["facts.json"]
    assert "as it was on 2023-11-14 22:13 UTC" in parts["README.txt"]
    assert "link.socket_missing" in parts["README.txt"]


def test_a_node_that_is_away_and_was_never_followed(tmp_path: Path, fleet: Path) -> None:
    done, parts = support(tmp_path, fleet, "plant-1-offline")
    assert done.code == 3
    assert set(parts) == {"README.txt"}
    assert "NOT HAD" in parts["README.txt"]
    assert "link.socket_missing" in parts["README.txt"]


def test_a_file_that_cannot_be_written_is_a_problem(tmp_path: Path, fleet: Path) -> None:
    done = roost(
        *(tmp_path, "--fleet", fleet, "node", "support", "plant-1-t4"),
        *("-o", tmp_path / "no" / "x.zip"),
    )
    assert done.code != 0
    assert "No such file" in done.err
