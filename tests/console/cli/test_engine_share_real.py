"""`roost engine build --share` between two agents, with NVIDIA's TensorRT-RTX."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from console.fleet.inventory import NodeEntry
from tests import onnx_made
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet

pytestmark = pytest.mark.real

RECIPE = """\
model: detector
onnx: {onnx}
compute_capabilities: ["8.6"]
profiles:
  - images: {{min: [1, 3, 64, 64], opt: [4, 3, 64, 64], max: [8, 3, 64, 64]}}
"""


class Site(NamedTuple):
    """Nodes a and b of one site, of which b serves it."""

    home: Path
    fleet: Path
    agents: dict[str, AgentProcess]
    recipe: Path

    def roost(self, *arguments: str | Path) -> Done:
        return roost(self.home, "--fleet", self.fleet, "engine", *arguments)


@pytest.fixture
def site(short_folder: Path, tmp_path: Path) -> Iterator[Site]:
    recipe, onnx = tmp_path / "detector.yaml", tmp_path / "detector.onnx"
    recipe.write_text(RECIPE.format(onnx=onnx))
    onnx.write_bytes(onnx_made.detector())
    with ExitStack() as stack:
        agents, entries = {}, []
        for name in ("a", "b"):
            folder = short_folder / name
            folder.mkdir()
            settings = {"name": name, "engines": {"python": sys.executable}}
            if name == "b":
                settings["site_listen"] = "127.0.0.1:0"
            agents[name] = stack.enter_context(AgentProcess(folder, settings))
            address = f"unix://{agents[name].sockets['operator']}"
            entries.append(NodeEntry(name=name, address=address, labels={"site": "lab"}))
        yield Site(tmp_path, write_fleet(tmp_path / "fleet.yaml", entries), agents, recipe)


def test_one_builds_and_the_other_fetches(site: Site) -> None:
    done = site.roost("build", site.recipe, "--to", "site=lab", "--share", "--json")
    assert done.code == 0, done.err
    assert [(each["node"], each["result"], each["shared_from"]) for each in done.json] == [
        ("a", "shared", "b"),
        ("b", "built", None),
    ]
    assert "fetches from b" in done.err
    assert "for a" in done.err
    (taken,), (built,) = (site.agents[name].get("/v1/engines") for name in "ab")
    plans = [Path(each["path"]).read_bytes() for each in (taken, built)]
    assert plans[0] == plans[1]
    manifest = taken["manifest"]
    assert (manifest["key"], manifest["shared_from"]) == (built["manifest"]["key"], "b")
    # Tried there, as far as a machine without a GPU can; and its bytes lie nowhere else.
    assert (manifest["verification"], manifest["check"] is not None) == ("header", True)
    state = site.agents["a"].folder / "state"
    assert not [*(state / "blobs").iterdir(), *(state / "uploads").glob("*.data")]
    assert "shared from:    b\n" in site.roost("show", "a", "detector").out
    listed = site.roost("ls").out.splitlines()
    assert "FROM" in listed[0]
    # The model has changed: the same again with the recipes of the engines themselves.
    (site.home / "detector.onnx").write_bytes(onnx_made.detector(blocks=2))
    stale = site.roost("build", "--stale", "--to", "site=lab", "--share", "--json")
    assert stale.code == 0, stale.err
    found = {each["node"]: (each["result"], each["key"]) for each in stale.json}
    assert (found["a"][0], found["b"][0]) == ("shared", "built")
    assert found["a"][1] == found["b"][1] != manifest["key"]
    assert site.roost("ls", "--stale", "--json").json == []
