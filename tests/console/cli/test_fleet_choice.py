"""Which fleet and which nodes a command is about, and what is told where that is wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.cli.nodes import all_nodes
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from tests.console.cli.commands import roost, write_fleet

pytestmark = pytest.mark.timeout(60)

GOOD = "nodes:\n  - name: a\n    address: ssh://a\n    labels: {site: x}\n"


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        (GOOD + "    adress: b\n", 5, "Did you mean 'address'?"),
        (GOOD + "  - name: b\n", 5, None),
        (GOOD + "    production: maybe\n", 5, None),
        (GOOD + "  - {name: b, address: 'http://b'}\n", 5, None),
        (GOOD + "  - {name: a, address: 'ssh://b'}\n", 5, None),
        ("nodes:\n  - name: [a\n", 3, None),
    ],
)
def test_a_malformed_fleet_names_file_and_line(
    tmp_path: Path, text: str, line: int, hint: str | None
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(text)
    done = roost(tmp_path, "--fleet", file, "node", "ls")
    assert (done.code, done.out) == (2, "")
    told, hinted = done.err.splitlines()
    assert told.startswith(f"error: {file}, line {line}: ")
    assert hint is None or hinted == f"hint: {hint}"


@pytest.mark.parametrize(
    ("selector", "told", "hint"),
    [
        ("stie=x", "no node has the label 'stie'", "Did you mean 'site'?"),
        ("a", "no node has the label 'a'", "a is a node: write @a"),
        ("@b", "there is no node 'b'", "See the names: roost node ls"),
        ("site in (x", "'site in (x' is not a requirement", "Like this: "),
        ("site=y", "means none of the 1 nodes", "See the nodes and their labels"),
    ],
)
def test_a_selector_that_is_wrong(tmp_path: Path, selector: str, told: str, hint: str) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(GOOD)
    done = roost(tmp_path, "--fleet", file, "node", "ls", selector)
    assert (done.code, done.out) == (2, "")
    error, hinted = done.err.splitlines()
    assert told in error
    assert hinted.startswith(f"hint: {hint}")


def test_a_fleet_file_that_is_not_there(tmp_path: Path) -> None:
    done = roost(tmp_path, "--fleet", tmp_path / "none.yaml", "node", "ls")
    assert done.code == 2
    assert "there is no such file" in done.err


def test_the_environment_names_the_fleet(tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("nodes: 3\n")
    done = roost(tmp_path, "node", "ls", env={"ROOST_FLEET": str(file)})
    assert f"{file}, line 1" in done.err


def test_who_has_no_fleet_has_this_machine(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROOST_FLEET", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = short_folder / "agent.sock"
    with pytest.raises(ProblemError) as caught:
        all_nodes(Setup(), own_socket=path)
    assert caught.value.code == "fleet.empty"
    assert "roost node add" in (caught.value.hint or "")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        (entry,) = all_nodes(Setup(), own_socket=path)
        assert entry == NodeEntry(name=socket.gethostname(), address=f"unix://{path}")
        (tmp_path / "roost").mkdir()
        write_fleet(tmp_path / "roost" / "fleet.yaml", [NodeEntry(name="b", address="ssh://b")])
        assert [entry.name for entry in all_nodes(Setup(), own_socket=path)] == ["b"]


def test_a_fleet_without_nodes_is_not_this_machine(tmp_path: Path, short_folder: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text("nodes: []\n")
    path = short_folder / "agent.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with pytest.raises(ProblemError) as caught:
            all_nodes(Setup(fleet_file=file), own_socket=path)
    assert caught.value.code == "fleet.empty"
