"""fleet.yaml: what is wrong with it is told with file and line; changing it harms nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.fleet.fleet_file import add_node, default_fleet_file, load_inventory, remove_node
from console.fleet.inventory import Inventory, NodeEntry
from console.fleet.yaml_edit import with_node

GOOD = """\
nodes:
  - name: cam-1
    address: ssh://ops@cam-1
    labels: {site: plant-7}
    production: true
  - name: lab
    address: https://lab:7443
    fingerprint: sha256:0000000000000000000000000000000000000000000000000000000000000000
    token_file: tokens/lab
"""
NEW = NodeEntry(name="new", address="unix:///run/roost/agent.sock")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.yaml"
    file.write_text(GOOD)
    return file


def test_a_good_file(file: Path) -> None:
    first, second = load_inventory(file).nodes
    assert first == NodeEntry(
        name="cam-1", address="ssh://ops@cam-1", labels={"site": "plant-7"}, production=True
    )
    assert (second.name, second.token_file) == ("lab", "tokens/lab")


def test_no_file_is_a_fleet_without_nodes(tmp_path: Path) -> None:
    assert load_inventory(tmp_path / "none.yaml") == Inventory()


@pytest.mark.parametrize("text", ["", "# nothing", "---\n", "nodes:\n", "nodes: []"])
def test_an_empty_fleet(file: Path, text: str) -> None:
    file.write_text(text)
    assert load_inventory(file) == Inventory()


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "said"),
    [
        ("production", "prodution", "settings.unknown_key", 5, "'production'"),
        ("nodes:", "node:", "settings.unknown_key", 1, "'nodes'"),
        ("address: ssh://ops@cam-1", "adress: x", "settings.unknown_key", 3, "'address'"),
        ("address: ssh://ops@cam-1", "labls: {}", "settings.unknown_key", 3, "'labels'"),
        ("production: true", "production: maybe", "settings.invalid", 5, "bool"),
        ("{site: plant-7}", "{site: 7}", "settings.invalid", 4, "str"),
        ("name: lab", "name: cam-1", "settings.invalid", 6, "already, in line 2"),
        ("name: lab", "name: 'a b'", "settings.invalid", 6, "not a name"),
        ("name: lab", 'name: "a\\e[2J"', "settings.invalid", 6, "not a name"),
        ("https://lab:7443", "http://lab", "settings.invalid", 7, "plaintext"),
        ("ssh://ops@cam-1", "cam-1", "settings.invalid", 3, "names no way"),
        ("sha256:00", "sha1:00", "settings.invalid", 8, "64 hex"),
        ("    labels: {", "   labels: {", "settings.syntax", 4, "f"),
        ("{site: plant-7}", "{site: plant-7", "settings.syntax", 5, "f"),
        ("- name: cam-1", "- cam-1\n  - name: x", "settings.invalid", 2, "object"),
        ("production: true", "production: 2024-99-99", "settings.syntax", None, "month"),
        ("nodes:", "\x00nodes:", "settings.syntax", None, "f"),
    ],
)
def test_what_is_wrong_is_told(
    file: Path, old: str, new: str, code: str, line: int | None, said: str
) -> None:
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ProblemError) as caught:
        load_inventory(file)
    problem = caught.value
    assert problem.code == code
    assert str(file) in problem.detail
    assert problem.params.get("line") == line
    assert said in f"{problem.detail} {problem.hint}"
    assert problem.hint
    assert "\x1b" not in problem.detail


def test_a_file_that_is_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProblemError) as caught:
        load_inventory(file)
    assert caught.value.code == "settings.unreadable"
    with pytest.raises(ProblemError) as caught:
        load_inventory(file.parent)
    assert caught.value.code == "settings.unreadable"


def test_adding_and_removing(file: Path) -> None:
    file.chmod(0o640)
    add_node(file, NEW)
    assert [node.name for node in load_inventory(file).nodes] == ["cam-1", "lab", "new"]
    remove_node(file, "lab")
    remove_node(file, "new")
    assert file.read_text() == GOOD[: GOOD.index("  - name: lab")]
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["fleet.yaml"]


def test_the_first_node_makes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "roost" / "fleet.yaml"
    add_node(file, NEW)
    assert load_inventory(file).nodes == [NEW]


def test_a_name_twice_and_a_name_never(file: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        add_node(file, NodeEntry(name="lab", address="ssh://x"))
    assert caught.value.code == "fleet.node_exists"
    with pytest.raises(ProblemError) as caught:
        remove_node(file, "nobody")
    assert caught.value.code == "fleet.node_unknown"
    assert file.read_text() == GOOD


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    add_node(link, NEW)
    assert link.is_symlink()
    assert len(load_inventory(file).nodes) == 3


def test_a_change_by_someone_else_is_not_overwritten(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(text: str, entry: NodeEntry) -> str:
        file.write_text(GOOD + "# by hand\n")
        return with_node(text, entry)

    monkeypatch.setattr("console.fleet.fleet_file.with_node", meanwhile)
    with pytest.raises(ProblemError) as caught:
        add_node(file, NEW)
    assert caught.value.code == "settings.unwritable"
    assert file.read_text() == GOOD + "# by hand\n"
    assert [path.name for path in file.parent.iterdir()] == ["fleet.yaml"]


def test_what_cannot_be_edited_safely_is_left_alone(file: Path) -> None:
    text = "base: &n\n  - {name: a, address: 'ssh://a'}\nnodes: *n\n"
    file.write_text(text.replace("base", "nodes").replace("nodes: *n\n", ""))
    add_node(file, NEW)  # an anchor alone does no harm
    file.write_text('{"nodes": null}')
    with pytest.raises(ProblemError) as caught:
        add_node(file, NEW)
    assert caught.value.code in ("settings.unwritable", "settings.syntax")
    assert file.read_text() == '{"nodes": null}'


def test_many_at_once_lose_nothing(file: Path) -> None:
    entries = [NodeEntry(name=f"n{number}", address="ssh://n") for number in range(12)]
    threads = [threading.Thread(target=add_node, args=(file, entry)) for entry in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {node.name for node in load_inventory(file).nodes}
    assert names == {"cam-1", "lab", *(entry.name for entry in entries)}


def test_where_the_fleet_is() -> None:
    assert default_fleet_file({"ROOST_FLEET": "/x/f.yaml"}) == Path("/x/f.yaml")
    assert default_fleet_file({"XDG_CONFIG_HOME": "/c"}) == Path("/c/roost/fleet.yaml")
    assert default_fleet_file({}) == Path.home() / ".config/roost/fleet.yaml"
