"""YAML text as plain objects."""

from __future__ import annotations

import pytest
import yaml

from agent import yaml_text
from agent.protocol.problems import ProblemError
from agent.yaml_text import DEPTH_LIMIT, read_document, read_tree


def problem(text: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        read_document(text, file="x.yaml")
    assert caught.value.code == "settings.syntax"
    assert caught.value.params["file"] == "x.yaml"
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"), [("", None), ("# nothing", None), ("a: [1, x]", {"a": [1, "x"]})]
)
def test_text_as_objects(text: str, expected: object) -> None:
    assert read_document(text, file="x.yaml") == expected


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\n  b: 2\n", 2, "mapping values are not allowed"),
        ("a: {b: 1\nc: 2\n", 2, "did not find"),
        ("a: !!python/object:os.system x", 1, "could not determine a constructor"),
        ("a: *b", 1, "undefined alias"),
        ("a: 2024-99-99", None, "month"),
        ("\x00", None, "control characters"),
    ],
)
def test_a_mistake_names_its_line_where_it_is_known(text: str, line: int | None, said: str) -> None:
    found = problem(text)
    assert found.params.get("line") == line
    assert said in found.detail
    assert found.detail.startswith("x.yaml" if line is None else f"x.yaml, line {line}: ")
    assert "\n" not in found.detail


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 50_000, "- " * 50_000, "? " * 50_000])
def test_what_is_nested_too_deep_does_not_end_the_process(text: str) -> None:
    assert "nested too deep" in problem(text).detail


def test_what_people_nest_is_taken() -> None:
    text = "[" * DEPTH_LIMIT + "]" * DEPTH_LIMIT
    document = read_document(f"{text}\n", file="x.yaml")
    assert isinstance(document, list)
    assert "nested too deep" in problem(f"a: {text}").detail


def test_pythons_parser_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "LOADER", yaml.SafeLoader)
    assert read_document("a: [1, x]", file="x.yaml") == {"a": [1, "x"]}
    assert problem("a: 1\n  b: 2\n").params["line"] == 2
    assert "nested too deep" in problem("[" * 5000).detail


def test_the_tree_knows_lines() -> None:
    (key, value), *_ = read_tree("a:\n  b: 1\n").value
    assert (key.value, key.start_mark.line, value.start_mark.line) == ("a", 0, 1)
