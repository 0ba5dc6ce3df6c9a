"""Every form of a variable, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.compose.interpolation import BadTemplateError, UnsetError, interpolate, names_in

VARIABLES = {"A": "a", "EMPTY": "", "_x1": "under", "LONG": "$A"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$A", "a"),
        ("${A}", "a"),
        ("$A.$A", "a.a"),
        ("$_x1-", "under-"),
        ("$$", "$"),
        ("$$A", "$A"),
        ("$$$A", "$a"),
        ("${A}B", "aB"),
        ("$LONG", "$A"),  # what a variable holds is not looked into
        ("${A:-x}", "a"),
        ("${A-x}", "a"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NO:-x}", "x"),
        ("${NO-x}", "x"),
        ("${NO:-}", ""),
        ("${NO-}", ""),
        ("${A:?why}", "a"),
        ("${A?why}", "a"),
        ("${EMPTY?why}", ""),
        ("${A:+x}", "x"),
        ("${A+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NO:+x}", ""),
        ("${NO+x}", ""),
        ("${NO:-${A}}", "a"),
        ("${NO:-$A/${NOR:-b}}", "a/b"),
        ("${NO:-${NOR:-${A:+deep}}}", "deep"),
        ("${A:-${NO}}", "a"),  # what is not taken may be unset
        ("${NO+${NOR}}", ""),
        ("${NO:-a:b-c?d+e}", "a:b-c?d+e"),
        ("${NO:-$$}", "$"),
        ("${NO:-}}", "}"),
        ("{A}", "{A}"),
        ("$", "$"),  # what begins no name is none
        ("cost: $1, $-, $ A, 5$", "cost: $1, $-, $ A, 5$"),
        ("^\\d+$", "^\\d+$"),
    ],
)
def test_value(text: str, value: str) -> None:
    assert interpolate(text, VARIABLES) == value


@pytest.mark.parametrize(
    ("text", "name", "why", "empty"),
    [
        ("$NO", "NO", None, False),
        ("${NO}", "NO", None, False),
        ("${NO:?say it}", "NO", "say it", False),
        ("${NO?say it}", "NO", "say it", False),
        ("${EMPTY:?say it}", "EMPTY", "say it", True),
        ("${NO?no $A}", "NO", "no a", False),
        ("${NO?}", "NO", "", False),
        ("${NO:-$NOR}", "NOR", None, False),
        ("${A:+$NO}", "NO", None, False),
    ],
)
def test_unset(text: str, name: str, why: str | None, empty: bool) -> None:
    with pytest.raises(UnsetError) as raised:
        interpolate(text, VARIABLES)
    assert (raised.value.name, raised.value.why, raised.value.empty) == (name, why, empty)


@pytest.mark.parametrize(
    "text",
    ["${", "${}", "${A", "${A:-b", "${A!}", "${1A}", "${A:}", "${ A}", "a ${A/b/c}"],
)
def test_no_variable(text: str) -> None:
    with pytest.raises(BadTemplateError):
        interpolate(text, VARIABLES)


def test_nesting_has_a_bound() -> None:
    with pytest.raises(BadTemplateError, match="nested more than 32"):
        interpolate("${NO:-" * 5000 + "}" * 5000, {})


def test_names() -> None:
    assert names_in("$A ${B:-${C:+$D}} $$E ${F?$G}") == {"A", "B", "C", "D", "F", "G"}
    assert names_in("$A ${1} $B") == {"A"}  # nobody gets as far as B


@given(st.text(alphabet="$${}:-?+AB_1 ", max_size=40))
def test_only_the_named_variables_count(text: str) -> None:
    def outcome(variables: dict[str, str]) -> object:
        try:
            return interpolate(text, variables)
        except (BadTemplateError, UnsetError) as error:
            return type(error), str(error)

    names = names_in(text)
    known: dict[str, str] = {name: "v" for name in ("A", "B", "AB", "_") if name in names}
    assert outcome(known) == outcome({**known, "UNRELATED": "x", "ZZ": ""})
