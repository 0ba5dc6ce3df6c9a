"""Selectors mean what Kubernetes' do, and never guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.selectors import Requirement, parse_selector, select


def node(name: str, **labels: str) -> NodeEntry:
    return NodeEntry(name=name, address="unix:///a", labels=labels)


NODES = [
    node("cam-1", site="plant-7", gpu="t4"),
    node("cam-2", site="plant-7", gpu="a10", retired="yes"),
    node("cam-3", site="plant-8", gpu="t4"),
    node("lab"),
]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["cam-1", "cam-2", "cam-3", "lab"]),
        ("  ", ["cam-1", "cam-2", "cam-3", "lab"]),
        ("site=plant-7", ["cam-1", "cam-2"]),
        ("site==plant-7,gpu in (t4,a10),!retired", ["cam-1"]),
        (" site = plant-7 , gpu in ( t4 , a10 ) ", ["cam-1", "cam-2"]),
        ("gpu!=t4", ["cam-2", "lab"]),
        ("gpu notin (t4,a10)", ["lab"]),
        ("gpu", ["cam-1", "cam-2", "cam-3"]),
        ("!gpu", ["lab"]),
        ("! gpu", ["lab"]),
        ("@lab", ["lab"]),
        ("@cam-3,@cam-1", ["cam-1", "cam-3"]),
        ("@cam-1,site=plant-8", []),
        ("site=", []),
    ],
)
def test_who_is_meant(text: str, names: list[str]) -> None:
    assert [node.name for node in select(text, NODES)] == names


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("sitee=plant-7", "fleet.label_unknown", "'site'"),
        ("!retird", "fleet.label_unknown", "'retired'"),
        ("xyz", "fleet.label_unknown", "gpu, retired, site"),
        ("@cam-9", "fleet.node_unknown", "'cam-"),
        ("@zzzzzz", "fleet.node_unknown", "roost node ls"),
        ("site=plant-7,", "fleet.selector", "site=plant-7"),
        (",site", "fleet.selector", "site=plant-7"),
        ("site in plant-7", "fleet.selector", "site=plant-7"),
        ("site in (plant-7", "fleet.selector", "site=plant-7"),
        ("site in (a b)", "fleet.selector", "letters"),
        ("site>5", "fleet.selector", "site=plant-7"),
        ("site=plant-7 gpu=t4", "fleet.selector", "site=plant-7"),
        ("@", "fleet.selector", "@name"),
    ],
)
def test_what_is_wrong_is_said(text: str, code: str, hint: str) -> None:
    with pytest.raises(ProblemError) as caught:
        select(text, NODES)
    assert caught.value.code == code
    assert hint in (caught.value.hint or "")


WORDS = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda word: word not in ("in", "notin")
)
LABELS = st.dictionaries(WORDS, WORDS, max_size=4)


@given(LABELS, WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_each_way_and_its_opposite(labels: dict[str, str], key: str, values: list[str]) -> None:
    def holds(text: str) -> bool:
        return parse_selector(text).matches("n", labels)

    inside = ",".join(values)
    assert holds(f"{key} in ({inside})") is (labels.get(key) in values)
    assert holds(f"{key} notin ({inside})") is not holds(f"{key} in ({inside})")
    assert holds(f"{key}!={values[0]}") is not holds(f"{key}={values[0]}")
    assert holds(f"!{key}") is not holds(key)
    assert holds(f"{key},!{key}") is False


@given(st.text())
def test_any_text_is_a_selector_or_a_problem(text: str) -> None:
    try:
        selector = parse_selector(text)
    except ProblemError as problem:
        assert problem.code == "fleet.selector"  # noqa: PT017  most texts are one of the two
    else:
        assert all(isinstance(requirement, Requirement) for requirement in selector.requirements)


def test_a_long_text_takes_no_long_time() -> None:
    with pytest.raises(ProblemError):
        parse_selector("a" * 50_000 + "!")
