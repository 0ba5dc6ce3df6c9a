"""YAML as it is read: lines, anchors, merge keys, and what is too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.compose.compose_file import parse_compose, read_compose
from console.compose.findings import Findings
from console.compose.tree import (
    DEPTH_LIMIT,
    NODES_LIMIT,
    Mapping,
    Node,
    Scalar,
    Sequence,
    read_tree,
)
from tests.console.compose.files import FILE, meaning, problem


def plain(node: Node | None) -> object:
    """The tree without its lines."""
    if isinstance(node, Mapping):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.text if isinstance(node, Scalar) else None


def tree(text: str) -> Node | None:
    findings = Findings("f")
    found = read_tree(text, findings)
    assert findings.problems == []
    return found


def refused(text: str) -> ProblemError:
    with pytest.raises(ProblemError) as raised:
        parse_compose(text, path=FILE)
    return raised.value


def test_anchors_and_merge_keys() -> None:
    text = """
base: &base {a: 1, b: 2}
more: &more {b: 3, c: 4}
one: {<<: *base, b: own}
first_wins: {<<: [*base, *more]}
below: {x: y, <<: *more}
quoted: {"<<": text}
again: *base
"""
    found = plain(tree(text))
    assert isinstance(found, dict)
    assert found["one"] == {"b": "own", "a": "1"}
    assert found["first_wins"] == {"a": "1", "b": "2", "c": "4"}
    assert found["below"] == {"x": "y", "b": "3", "c": "4"}
    assert found["quoted"] == {"<<": "text"}
    assert found["again"] == {"a": "1", "b": "2"}


def test_an_anchor_may_be_set_anew() -> None:
    assert plain(tree("[&a 1, *a, &a 2, *a]")) == ["1", "1", "2", "2"]


def test_every_part_knows_its_line() -> None:
    root = tree("a: &x\n  b:\n  - c\n\nd: *x\n")
    assert isinstance(root, Mapping)
    assert (root.entries["a"].line, root.entries["d"].line) == (1, 5)
    inner = root.entries["d"].value
    assert isinstance(inner, Mapping)
    assert inner.entries["b"].line == 2
    assert inner.entries["b"].value.line == 3


@pytest.mark.parametrize(
    ("text", "code", "line", "says"),
    [
        ("a: [", "compose.syntax", 2, "expected"),
        ("a: b: c", "compose.syntax", 1, "mapping values"),
        ("a:\n\t- b", "compose.syntax", 2, "token"),
        ("a: \x01", "compose.syntax", None, "control"),
        ("a: *b", "compose.syntax", 1, "&b"),
        ("a: &a [*a]", "compose.syntax", 1, "stands inside"),
        ("a: &a\n  b:\n    <<: *a", "compose.syntax", 3, "stands inside"),
        ("[a]: b", "compose.syntax", 1, "key"),
        ("a: b\n---\nc: d", "compose.unsupported", 2, "second document"),
    ],
)
def test_what_is_no_tree(text: str, code: str, line: int | None, says: str) -> None:
    found = refused(text)
    assert found.code == code
    assert found.params["line"] == line
    assert says in found.detail
    assert str(FILE) in found.detail
    assert found.hint


def test_a_key_twice_names_both_lines() -> None:
    found = problem("services:\n  app:\n    image: a:1\n    init: true\n    image: b:1\n")
    assert (found.code, found.line) == ("compose.duplicate", 5)
    assert found.what == "'image' stands here and in line 3"


def test_a_merge_of_something_else_is_told() -> None:
    found = problem("services:\n  app:\n    <<: [1]\n    image: a:1\n")
    assert (found.code, found.line) == ("compose.invalid", 3)


def test_unknown_tags_are_told() -> None:
    found = problem("services:\n  app:\n    image: a:1\n    ports: !shout []\n")
    assert (found.code, found.line) == ("compose.unsupported", 4)
    assert "!shout" in found.what


def test_billion_laughs() -> None:
    """Nine entries of nine, nine times over: 3.5 billion if written out."""
    lines = ['a0: &a0 "lol"']
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 11)
    ]
    found = refused("\n".join(lines))
    assert found.code == "compose.too_large"
    # 9 to the 5th is under the limit and to the 6th over it.
    assert found.params["line"] == 7
    assert f"{NODES_LIMIT:,}" in found.detail


def test_the_bound_counts_what_is_written_out() -> None:
    findings = Findings("f")
    # Each use counts the anchor's 1 + 99, and the list itself one.
    uses = (NODES_LIMIT - 102) // 100
    text = f"a: &a [{', '.join('x' for _ in range(99))}]\nb: [{', '.join(['*a'] * uses)}]\n"
    root = read_tree(text, findings)
    assert root is not None
    assert root.size == 1 + 100 + 1 + 100 * uses
    assert root.size <= NODES_LIMIT
    assert refused(text.replace("b: [", "b: [" + "*a, " * 2)).code == "compose.too_large"


def test_a_bomb_of_merge_keys() -> None:
    keys = ", ".join(f"k{n}: v" for n in range(200))
    text = f"a: &a {{{keys}}}\nb:\n" + "".join(f"- {{<<: [{'*a, ' * 50}*a]}}\n" for _ in range(20))
    assert refused(text).code == "compose.too_large"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "- " * 5000 + "x",
        "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)),
    ],
)
def test_nesting_has_a_bound(text: str) -> None:
    found = refused(text)
    assert found.code == "compose.too_large"
    assert f"more than {DEPTH_LIMIT} deep" in found.detail


def test_numbers_are_what_yaml_1_2_has() -> None:
    found = meaning(
        """
        name: plant
        services:
          app:
            image: a:1
            environment: {NO: no, PORTS: 22:22, V: 1.10, O: 010, T: True, Q: "1.10"}
            ports: [22:22]
        """
    )
    workload = found.workloads[0]
    assert workload.environment == {
        "NO": "no",
        "PORTS": "22:22",
        "V": "1.1",
        "O": "8",
        "T": "true",
        "Q": "1.10",
    }
    assert [(port.published, port.target) for port in workload.ports] == [(22, 22)]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content in (("binary", b"\xff\xfe\x00"), ("large", b"#" * (1 << 20) + b"\na: b")):
        (tmp_path / name).write_bytes(content)
    for name in ("binary", "large", "missing", "."):
        with pytest.raises(ProblemError) as raised:
            read_compose(tmp_path / name)
        assert raised.value.code == "compose.unreadable"
        assert str(tmp_path / name) in raised.value.detail


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbfservices: {}\r\n")
    assert plain(read_compose(tmp_path / "f").roots[0]) == {"services": {}}
