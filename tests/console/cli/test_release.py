"""`roost release check` and `roost release diff`, as a person runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.fleet.inventory import NodeEntry
from tests.archives_made import Made, docker_archive, layer
from tests.console.cli.commands import roost, write_fleet

pytestmark = pytest.mark.timeout(60)

GOOD = """\
name: app
services:
  web:
    image: edge/app:1
    healthcheck: {test: [CMD, "true"]}
"""
BAD = """\
name: app
x-roost:
  rollout:
    waves: [{selector: "@cam-7"}]
    soack: 5s
services:
  web:
    image: edge/ap:1
    portz: []
    environment: {A: "${UNSET}"}
    x-roost: {engine: {onxx: /m.onnx}, gpu: {select: least}}
"""


def write(folder: Path, text: str, name: str = "app.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_all_that_is_wrong_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, BAD)
    fleet = write_fleet(tmp_path / "fleet.yaml", [NodeEntry(name="cam-1", address="ssh://x")])
    done = roost(tmp_path, "--fleet", fleet, "release", "check", file)
    assert done.code == 1
    said = [line for line in done.err.splitlines() if line.startswith("error: ")]
    lines = [int(line.split(": ")[1].rpartition(" ")[2]) for line in said]
    assert lines == [4, 5, 9, 10, 11, 11]
    for words in ("cam-7", "'soack'", "'portz'", "UNSET", "onxx", "select"):
        assert words in done.err
    assert "did you mean 'soak'?" in done.err.lower()


def test_a_good_one_and_its_version(tmp_path: Path) -> None:
    done = roost(tmp_path, "release", "check", write(tmp_path, GOOD))
    assert done.code == 0, done
    assert "can be let out: 1 workload" in done.err
    found = roost(tmp_path, "release", "check", tmp_path / "app.yaml", "--json").json
    assert found["problems"] == []
    version = found["version"]
    write(tmp_path, GOOD.replace("app:1", "app:2"))
    again = roost(tmp_path, "release", "check", tmp_path / "app.yaml", "--json").json
    assert (again["release"], len(again["version"])) == ("app", len(version))
    assert again["version"] != version


def test_images_are_looked_up_in_archives(tmp_path: Path) -> None:
    archive = tmp_path / "app.tar"
    archive.write_bytes(docker_archive([Made([layer("app")], tags=["edge/app:2"])]))
    file = write(tmp_path, GOOD)
    done = roost(tmp_path, "release", "check", file, "--archive", archive, "--json")
    assert done.code == 1
    (problem,) = [each for each in done.json["problems"] if each["level"] == "error"]
    assert (problem["code"], problem["line"]) == ("release.image", 4)
    assert "Did you mean edge/app:2?" in problem["hint"]
    write(tmp_path, GOOD.replace("app:1", "app:2"))
    assert roost(tmp_path, "release", "check", file, "--archive", archive).code == 0


def test_a_variable_of_any_node_is_given(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD + '    environment: {CAMERA: "${CAMERA}", WHO: "${ROOST_NODE}"}\n')
    assert roost(tmp_path, "release", "check", file).code == 1
    entries = [
        NodeEntry(name="cam-1", address="ssh://x"),
        NodeEntry(name="cam-2", address="ssh://y", vars={"CAMERA": "10.0.0.2"}),
    ]
    fleet = write_fleet(tmp_path / "fleet.yaml", entries)
    assert roost(tmp_path, "--fleet", fleet, "release", "check", file).code == 0
    assert roost(tmp_path, "release", "check", file, "--set", "CAMERA=x").code == 0


def test_what_changes_between_two_files(tmp_path: Path) -> None:
    one = write(tmp_path, GOOD)
    two = write(tmp_path, GOOD.replace("app:1", "app:2"), "two.yaml")
    done = roost(tmp_path, "release", "diff", one, two)
    assert (done.code, done.out) == (
        0,
        "web: changed\n  image: edge/app:1 becomes edge/app:2\n",
    )
    assert " becomes app@" in done.err
    assert roost(tmp_path, "release", "diff", one, one).out == "nothing differs\n"
    assert roost(tmp_path, "release", "diff", one).code == 2


def test_what_changes_on_nodes(tmp_path: Path, fleet: Path) -> None:
    file = write(tmp_path, GOOD.replace("edge/app:1", "edge/gateway:1.9.0"))
    selector = "@plant-1-t4,@plant-2-a10"
    done = roost(tmp_path, "--fleet", fleet, "release", "diff", file, "--to", selector)
    assert done.code == 0, done
    assert done.out == "web: added\n  image edge/gateway:1.9.0\n"
    assert done.err.startswith("plant-1-t4, plant-2-a10: what runs there becomes app@")
    missing = write(tmp_path, GOOD, "missing.yaml")
    done = roost(tmp_path, "--fleet", fleet, "release", "diff", missing, "--to", selector)
    assert "cannot: web: image edge/app:1 is not on this node" in done.out


def test_which_nodes_lack_what(tmp_path: Path, fleet: Path) -> None:
    file = write(tmp_path, GOOD)
    check = ("--fleet", fleet, "release", "check", file, "--to", "@plant-1-t4,@plant-2-a10")
    lacks = roost(tmp_path, *check)
    assert lacks.code == 1
    assert lacks.out.count("image edge/app:1 is not on this node") == 2
    archive = tmp_path / "app.tar"
    archive.write_bytes(docker_archive([Made([layer("app")], tags=["edge/app:1"])]))
    comes = roost(tmp_path, *check, "--archive", archive)
    assert comes.code == 0, comes
    assert comes.out.count("nothing, edge/app:1 is sent") == 2
    found = roost(tmp_path, *check, "--archive", archive, "--json").json
    assert {node["send_bytes"] for node in found["nodes"]} == {len(layer("app"))}
    away = write_fleet(tmp_path / "away.yaml", [NodeEntry(name="far", address="unix:///no.sock")])
    silent = roost(tmp_path, "--fleet", away, "release", "check", file, "--to", "@far")
    assert silent.code == 1
    assert "far" in silent.out
