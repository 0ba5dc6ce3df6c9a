"""`roost engine` over a real agent that builds with NVIDIA's TensorRT-RTX."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.fleet.inventory import NodeEntry
from tests import onnx_made
from tests.agent_process import AgentProcess
from tests.console.cli.commands import roost, write_fleet

pytestmark = pytest.mark.real

RECIPE = """\
model: detector
onnx: {onnx}
compute_capabilities: ["8.6", "8.9"]
profiles:
  - images: {{min: [1, 3, 64, 64], opt: [4, 3, 64, 64], max: [8, 3, 64, 64]}}
"""


@pytest.fixture
def fleet(short_folder: Path, tmp_path: Path) -> Iterator[Path]:
    with AgentProcess(short_folder, {"engines": {"python": sys.executable}}) as agent:
        entry = NodeEntry(name="edge", address=f"unix://{agent.sockets['operator']}")
        yield write_fleet(tmp_path / "fleet.yaml", [entry])


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "detector.onnx").write_bytes(onnx_made.detector())
    path = tmp_path / "detector.yaml"
    path.write_text(RECIPE.format(onnx=tmp_path / "detector.onnx"))
    return path


def test_build_list_and_show(fleet: Path, tmp_path: Path, recipe: Path) -> None:
    built = roost(tmp_path, "--fleet", fleet, "engine", "build", recipe, "--to", "@edge")
    assert built.code == 0
    heading, line = built.out.splitlines()
    assert heading.split() == ["NODE", "MODEL", "RESULT", "KEY", "TIME", "IN", "USE"]
    assert line.split()[:3] == ["edge", "detector", "built"]
    assert "there is no GPU here to try it on" in line
    again = roost(tmp_path, "--fleet", fleet, "engine", "build", recipe, "--to", "@edge", "--json")
    assert again.json[0]["result"] == "was there"
    key = again.json[0]["key"]
    listed = roost(tmp_path, "--fleet", fleet, "engine", "ls")
    heading, line = listed.out.splitlines()
    assert heading.split()[:4] == ["NODE", "MODEL", "KEY", "CURRENT"]
    assert line.split()[:4] == ["edge", "detector", key[:12], "no"]
    assert "sm_86,sm_89" in line
    (record,) = roost(tmp_path, "--fleet", fleet, "engine", "ls", "--json").json
    assert record["engine"]["manifest"]["key"] == key
    shown = roost(tmp_path, "--fleet", fleet, "engine", "show", "edge", "detector")
    assert f"key:            {key}" in shown.out
    assert "tried on a GPU: no: there is no GPU here to try it on" in shown.out
    assert "[1, 3, 64, 64] to [8, 3, 64, 64], best at [4, 3, 64, 64]" in shown.out


def test_what_goes_wrong(fleet: Path, tmp_path: Path, recipe: Path) -> None:
    gone = roost(tmp_path, "--fleet", fleet, "engine", "show", "edge", "detector")
    assert (gone.code, "there is no engine of detector here" in gone.err) == (1, True)
    (tmp_path / "detector.onnx").write_bytes(onnx_made.unsupported())
    failed = roost(tmp_path, "--fleet", fleet, "engine", "build", recipe, "--to", "@edge")
    assert failed.code == 1
    assert "FrobnicateNMS node '/model.22/nms'" in failed.err
    recipe.write_text(recipe.read_text().replace("profiles:", "profile:"))
    unknown = roost(tmp_path, "--fleet", fleet, "engine", "build", recipe, "--to", "@edge")
    assert unknown.code == 2
    assert "line 4: unknown key 'profile'" in unknown.err
    assert "Did you mean 'profiles'?" in unknown.err
    unread = roost(tmp_path, "--fleet", fleet, "engine", "build", "nowhere.yaml", "--to", "@edge")
    assert "nowhere.yaml" in unread.err


def test_a_release_brings_its_recipes(fleet: Path, tmp_path: Path, recipe: Path) -> None:
    release = tmp_path / "app.yaml"
    release.write_text(
        "name: app\n"
        "services:\n"
        "  detector:\n"
        "    image: edge/detector:1\n"
        "    x-roost:\n"
        "      engine:\n"
        "        executor: host\n"
        f"        onnx: {recipe.with_suffix('.onnx')}\n"
        '        compute_capabilities: ["8.6"]\n'
        "        profiles:\n"
        "          - images: {min: [1, 3, 64, 64], opt: [4, 3, 64, 64], max: [8, 3, 64, 64]}\n"
    )
    built = roost(tmp_path, "--fleet", fleet, "engine", "build", release, "--to", "@edge")
    assert built.code == 0, built
    assert built.out.splitlines()[1].split()[:3] == ["edge", "detector", "built"]
    release.write_text("services: {web: {image: 'a:1'}}\n")
    none = roost(tmp_path, "--fleet", fleet, "engine", "build", release, "--to", "@edge")
    assert none.code == 2, none
    assert "no service of" in none.err
