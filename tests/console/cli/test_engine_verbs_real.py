"""Engines of a node that has no GPU: tried, used, removed, read about, taken in, measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from console.fleet.inventory import NodeEntry
from tests import onnx_made
from tests.agent.engines.engine_side import PLAN, stand_in
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet
from tests.console.cli.engine_site import RECIPE

pytestmark = pytest.mark.real


class Node(NamedTuple):
    """A node that has built one engine."""

    home: Path
    fleet: Path
    recipe: Path
    key: str

    def roost(self, *arguments: str | Path) -> Done:
        return roost(self.home, "--fleet", self.fleet, "engine", *arguments)


@pytest.fixture
def node(short_folder: Path, tmp_path: Path) -> Iterator[Node]:
    (tmp_path / "detector.onnx").write_bytes(onnx_made.detector())
    recipe = tmp_path / "detector.yaml"
    recipe.write_text(RECIPE.format(onnx=tmp_path / "detector.onnx"))
    with AgentProcess(short_folder, {"engines": {"python": sys.executable}}) as agent:
        entry = NodeEntry(name="edge", address=f"unix://{agent.sockets['operator']}")
        fleet = write_fleet(tmp_path / "fleet.yaml", [entry])
        made = Node(tmp_path, fleet, recipe, "")
        built = made.roost("build", recipe, "--to", "@edge", "--json")
        assert built.code == 0, built.err
        yield made._replace(key=built.json[0]["key"])


def test_one_that_was_not_tried_is_not_used(node: Node) -> None:
    tried = node.roost("verify", "edge", "detector")
    assert (tried.code, "there is no GPU here to try it on" in tried.err) == (1, True)
    used = node.roost("use", "edge", "detector", node.key[:12])
    assert (used.code, "it was not tried" in used.err) == (1, True)
    assert "roost engine verify" in used.err
    no_key = node.roost("use", "edge", "detector", "newest")
    assert (no_key.code, "4 to 64 hex digits" in no_key.err) == (2, True)


def test_its_log_and_its_end(node: Node) -> None:
    log = node.roost("log", "edge", "detector")
    assert log.code == 0
    assert '"event": "built"' in log.out
    named = node.roost("log", "edge", "detector", "--key", node.key[:8], "--json")
    assert named.json["key"] == node.key
    removed = node.roost("rm", "edge", "detector", node.key[:12])
    assert (removed.code, "removed; left: none" in removed.out) == (0, True)
    again = node.roost("rm", "edge", "detector", node.key[:12])
    assert (again.code, "hint: " in again.err) == (1, True)
    assert "nothing to show" in node.roost("ls").err


def test_an_engine_file_is_taken_in(node: Node) -> None:
    (listed,) = node.roost("ls", "--json").json
    taken = node.roost("import", "edge", "copy", listed["engine"]["path"])
    assert taken.code == 0, taken.err
    assert "in use: not switched" in taken.out
    shown = node.roost("show", "edge", "copy")
    assert f"imported:       {listed['engine']['path']}" in shown.out
    assert "precision:      as the model has it" in shown.out, "its manifest lay beside it"
    (node.home / "noise").write_bytes(b"no plan" * 1000)
    noise = node.roost("import", "edge", "copy", node.home / "noise")
    assert noise.code == 1
    assert "hint: " in noise.err


def test_an_engine_file_that_does_not_run_is_no_success(short_folder: Path, tmp_path: Path) -> None:
    """On a node with a GPU (NVML's stub; the builder is a stand-in that tells of no run)."""
    python = stand_in(tmp_path)
    python.write_text(python.read_text().replace("'ran' if ran", "'deserialised' if ran"))
    (tmp_path / "copy.plan").write_bytes(PLAN)
    settings = {"engines": {"python": str(python)}}
    with AgentProcess(short_folder, settings, gpus=1) as agent:
        entry = NodeEntry(name="edge", address=f"unix://{agent.sockets['operator']}")
        fleet = write_fleet(tmp_path / "fleet.yaml", [entry])
        node = Node(tmp_path, fleet, tmp_path, "")
        taken = node.roost("import", "edge", "copy", tmp_path / "copy.plan")
        assert "in use: not switched: it was loaded, and did not run" in taken.out
        assert (taken.code, "the engine of copy is imported, and not in use" in taken.err) == (
            1,
            True,
        ), taken.err
        (listed,) = node.roost("ls", "--json").json
        key = listed["engine"]["manifest"]["key"][:12]
        verify = f"roost engine verify edge copy --key {key}"
        assert f"hint: Once that is mended: {verify}" in taken.err
        tried = node.roost(*verify.split()[2:])
        assert (tried.code, "roost engine use" in tried.err) == (0, False), tried.err
        python.write_text(python.read_text().replace("'deserialised' if ran", "'ran' if ran"))
        tried = node.roost(*verify.split()[2:])
        assert (tried.code, "in use: no" in tried.out) == (0, True)
        assert f"it may be used: roost engine use edge copy {key}" in tried.err
        assert node.roost("use", "edge", "copy", key, "--yes").code == 0
        assert "in use: yes" in node.roost(*verify.split()[2:]).out


def test_a_table_of_what_could_not_be_measured(node: Node) -> None:
    bench = node.roost(
        *("bench", "edge", node.recipe, "--batch", "1,4", "--precision", "fp32,fp16"),
        *("--max-latency", "20ms"),
    )
    assert bench.code == 1, bench.err
    assert [line.split()[:4] for line in bench.out.splitlines()[1:3]] == [
        ["as", "the", "model", "1"],
        ["as", "the", "model", "4"],
    ]
    assert "there is no GPU here to try it on" in bench.out
    assert "cannot make fp16" in bench.out
    assert "none is recommended" in bench.err
    shown = node.roost("bench", "edge", node.recipe, "--batch", "2", "--json").json
    assert (shown["model"], [row["batch"] for row in shown["rows"]]) == ("detector", [2])


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--batch", "0", "list of batch sizes"),
        ("--precision", "fp31", "list of precisions"),
        ("--max-latency", "soon", "not a time like 20ms"),
    ],
)
def test_what_is_no_bench(tmp_path: Path, fleet: Path, option: str, value: str, told: str) -> None:
    recipe = tmp_path / "detector.yaml"
    recipe.write_text(RECIPE.format(onnx="/srv/detector.onnx"))
    command = ("engine", "bench", "plant-1-t4", recipe, option, value)
    wrong = roost(tmp_path, "--fleet", fleet, *command)
    assert (wrong.code, told in wrong.err, "hint: " in wrong.err) == (2, True, True)


def test_the_stale_ones_are_built_again(node: Node) -> None:
    assert "nothing to show" in node.roost("ls", "--stale").err
    none = node.roost("build", "--stale", "--to", "@edge")
    assert (none.code, "nothing to show" in none.err) == (0, True)
    (node.home / "detector.onnx").write_bytes(onnx_made.detector(blocks=5))
    (stale,) = node.roost("ls", "--stale", "--json").json
    assert stale["engine"]["stale"][0]["what"] == "model"
    assert "detector.onnx" in node.roost("ls", "--stale").out
    built = node.roost("build", "--stale", "--to", "@edge", "--json")
    assert (built.code, built.json[0]["result"]) == (0, "built")
    assert built.json[0]["key"] != node.key
    both = node.roost("build", node.recipe, "--stale", "--to", "@edge")
    assert (both.code, "leave out --stale" in both.err) == (2, True)
