"""Constraints of a version, as fleet.yaml has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rules.constraints import holds, is_constraint


@pytest.mark.parametrize(
    ("constraint", "version", "kept"),
    [
        (">=535,<560", "535.183.01", True),
        (">=535,<560", "535", True),
        (">=535,<560", "560.28.03", False),
        (">=535,<560", "470.57.02", False),
        (">= 535 , < 560", "570.1", False),  # no alternative: the spaces mean nothing
        (">=535,<560 >=575", "580.65.06", True),
        (">=535,<560 >=575", "565.57", False),
        ("=535.183.01", "535.183.01", True),
        ("==535.183.1", "535.183.01", True),
        ("!=20.10.24", "20.10.24+dfsg1", False),
        (">=20.10", "20.10.24+dfsg1", True),
        (">=5.15", "6.1.0-13-amd64", True),
        (">=1", "unknown", None),
    ],
)
def test_what_keeps_to_it(constraint: str, version: str, kept: bool | None) -> None:
    assert holds(constraint, version) is kept


@pytest.mark.parametrize("text", ["", "535", ">=", ">=535,", ",<560", "~535", ">=535.x", "=>535"])
def test_what_is_none(text: str) -> None:
    assert not is_constraint(text)
    with pytest.raises(ValueError, match=r".*"):
        holds(text, "535")


@given(st.lists(st.integers(0, 999), min_size=1, max_size=4), st.integers(0, 999))
def test_bounds_are_those_of_tuples(version: list[int], bound: int) -> None:
    text = ".".join(map(str, version))
    at_least = version[0] >= bound
    assert holds(f">={bound}", text) is at_least
    assert holds(f"<{bound}", text) is not at_least


@given(st.text(max_size=40))
def test_any_text_is_judged_or_refused(text: str) -> None:
    if is_constraint(text):
        assert holds(text, "535.1") is not None
