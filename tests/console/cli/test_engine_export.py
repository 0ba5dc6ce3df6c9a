"""`roost engine export --triton`: nodes with stub GPUs and a stand-in for TensorRT."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from console.fleet.inventory import NodeEntry
from tests import onnx_made
from tests.agent.engines.engine_side import PLAN, stand_in
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet

pytestmark = pytest.mark.timeout(60)

TENSORS = {
    "inputs": [{"name": "images", "shape": [-1, 3, 64, 64], "dtype": "float"}],
    "outputs": [{"name": "boxes", "shape": [-1, 10], "dtype": "half"}],
    "profiles": [{"images": [[1, 3, 64, 64], [4, 3, 64, 64], [8, 3, 64, 64]]}],
}
RECIPE = """\
model: {model}
onnx: {onnx}
optimization_level: {level}
profiles:
  - images: {{min: [1, 3, 64, 64], opt: [4, 3, 64, 64], max: [8, 3, 64, 64]}}
"""
# What is read is longer than one piece of it.
LONG_PLAN = PLAN + bytes(range(256)) * 10_000


class Fleet(NamedTuple):
    """`a` and `b`, which are alike. Each test has a model of its own."""

    home: Path
    file: Path
    agents: list[AgentProcess]

    def roost(self, *arguments: str | Path) -> Done:
        return roost(self.home, "--fleet", self.file, "engine", *arguments)

    def build(self, model: str, where: str, level: int = 3) -> None:
        recipe = self.home / "recipe.yaml"
        onnx = self.home / "detector.onnx"
        recipe.write_text(RECIPE.format(model=model, onnx=onnx, level=level))
        built = self.roost("build", recipe, "--to", where)
        assert built.code == 0, built.err


@pytest.fixture(scope="module")
def fleet(make_short_folder: Callable[[], Path]) -> Iterator[Fleet]:
    home, short_folder = make_short_folder(), make_short_folder()
    (home / "detector.onnx").write_bytes(onnx_made.detector(blocks=1))
    script = stand_in(home, plan=LONG_PLAN)
    told = f"'reason': None, 'tensors': {TENSORS!r},"
    script.write_text(script.read_text().replace("'reason': None,", told))
    agents, entries = [], []
    with ExitStack() as running:
        for name in ("a", "b"):
            (short_folder / name).mkdir()
            settings = {"name": name, "engines": {"python": str(script)}}
            agent = running.enter_context(AgentProcess(short_folder / name, settings, gpus=1))
            address = f"unix://{agent.sockets['operator']}"
            entries.append(NodeEntry(name=name, address=address, labels={"site": "lab"}))
            agents.append(agent)
        yield Fleet(home, write_fleet(home / "fleet.yaml", entries), agents)


def names_in(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def test_one_engine_of_nodes_that_are_alike(fleet: Fleet, tmp_path: Path) -> None:
    fleet.build("detector", "site=lab")
    done = fleet.roost("export", "site=lab", "detector", "--triton", tmp_path)
    assert done.code == 0, done.err
    assert names_in(tmp_path) == {"detector/config.pbtxt", "detector/1/model.plan"}
    assert (tmp_path / "detector" / "1" / "model.plan").read_bytes() == LONG_PLAN
    config = (tmp_path / "detector" / "config.pbtxt").read_text()
    assert "max_batch_size: 8\n" in config
    assert "  dims: [ 3, 64, 64 ]\n" in config
    assert "  preferred_batch_size: [ 4 ]\n" in config
    assert "for NVIDIA H200, by TensorRT 10.13.2.6: a, b\n" in done.out
    assert "batches up to 8; best 4; a request waits 2500 us for others" in done.out

    again = fleet.roost("export", "a", "detector", "--triton", tmp_path)
    assert (again.code, "is there already" in again.err, "--force" in again.err) == (2, True, True)
    (tmp_path / "detector" / "mine").write_text("")
    forced = ("--max-queue-delay", "0.2ms", "--force", "--json")
    (record,) = fleet.roost("export", "@b", "detector", "--triton", tmp_path, *forced).json
    assert (record["nodes"], record["max_queue_delay_us"]) == (["b"], 200)
    assert names_in(tmp_path) == {"detector/config.pbtxt", "detector/1/model.plan"}
    assert [each.name for each in tmp_path.iterdir()] == ["detector"]


def test_places_that_are_not_for_it(fleet: Fleet, tmp_path: Path) -> None:
    fleet.build("places", "@a")
    (tmp_path / "places").mkdir()
    (tmp_path / "places" / "thesis.tex").write_text("")
    done = fleet.roost("export", "a", "places", "--triton", tmp_path, "--force")
    assert (done.code, "is no folder with config.pbtxt" in done.err) == (2, True)
    assert names_in(tmp_path) == {"places/thesis.tex"}
    (tmp_path / "file").write_text("")
    done = fleet.roost("export", "a", "places", "--triton", tmp_path / "file" / "x")
    assert (done.code, os.strerror(20) in done.err, "hint: " in done.err) == (1, True, True)


def test_engines_that_differ(fleet: Fleet, tmp_path: Path) -> None:
    fleet.build("counter", "site=lab")
    fleet.build("counter", "@b", level=4)
    asked = ("export", "site=lab", "counter", "--triton", tmp_path)
    done = fleet.roost(*asked)
    assert done.code == 1
    assert "the nodes have 2 engines of counter, with another recipe: a: " in done.err
    assert "--each" in done.err
    assert [*tmp_path.iterdir()] == []
    each = fleet.roost(*asked, "--each", "--json")
    assert each.code == 0, each.err
    wrote = {record["key"]: record["folder"] for record in each.json}
    assert wrote == {key: str(tmp_path / f"nvidia-h200-{key[:12]}" / "counter") for key in wrote}
    assert len(wrote) == 2
    before = next(record["key"] for record in each.json if record["nodes"] == ["a"])
    old = fleet.roost("export", "b", "counter", "--triton", tmp_path / "old", "--key", before)
    assert old.code == 0, old.err
    none = fleet.roost("export", "a", "counter", "--triton", tmp_path / "no", "--key", "0123")
    assert (none.code, before[:12] in none.err, "--key KEY" in none.err) == (1, True, True)


def test_a_plan_that_is_damaged_on_the_node(fleet: Fleet, tmp_path: Path) -> None:
    fleet.build("broken", "@a")
    plan = fleet.agents[0].folder / "state" / "engines" / "broken" / "current" / "model.plan"
    plan.write_bytes(plan.read_bytes()[:-1] + b"x")
    done = fleet.roost("export", "a", "broken", "--triton", tmp_path)
    assert (done.code, "its plan is damaged" in done.err, "hint: " in done.err) == (1, True, True)
    assert [*tmp_path.iterdir()] == []
    nobody = fleet.roost("export", "nobody", "broken", "--triton", tmp_path)
    assert (nobody.code, "hint: " in nobody.err) == (2, True)
