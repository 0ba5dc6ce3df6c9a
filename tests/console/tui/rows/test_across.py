"""How a table with a column for each node finds its room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.tui.rows.across import LEAST, MOST, NAME_LINES, lay_out_across, name_lines
from console.tui.rows.matrix import IMAGE_COLUMNS


@given(st.integers(0, 400), st.integers(0, 80), st.integers(50, 300))
def test_it_is_never_wider_than_the_table(count: int, longest: int, total: int) -> None:
    across = lay_out_across(IMAGE_COLUMNS, count, longest, total)
    wide = sum(width + 1 for _, width in across.fixed) + across.shown * (across.width + 1)
    assert wide <= total
    assert LEAST <= across.width <= MOST
    assert min(1, count) <= across.shown <= count


@pytest.mark.parametrize(
    ("count", "total", "shown"), [(4, 80, 4), (25, 80, 6), (25, 200, 25), (300, 200, 20)]
)
def test_how_many_nodes_can_be_seen(count: int, total: int, shown: int) -> None:
    assert lay_out_across(IMAGE_COLUMNS, count, 40, total).shown == shown


def test_all_in_sight_goes_before_more_about_the_image() -> None:
    few = lay_out_across(IMAGE_COLUMNS, 3, 40, 200)
    many = lay_out_across(IMAGE_COLUMNS, 25, 40, 200)
    assert len(few.fixed) == len(IMAGE_COLUMNS)
    assert len(many.fixed) < len(IMAGE_COLUMNS)


@pytest.mark.parametrize(
    ("name", "width", "lines"),
    [
        ("a", 6, ["a"]),
        ("plant-7-cam-03", 6, ["plant-", "7-cam-", "03"]),
        ("plant-7-cam-03", 13, ["plant-7-cam-", "03"]),
        ("cam.example.org", 8, ["cam.", "example.", "org"]),
        ("verylongname", 5, ["veryl", "ongna", "me"]),
        ("x" * 40, 5, ["xxxxx", "xxxxx", "~xxxx", "xxxxx"]),
    ],
)
def test_names_are_broken_where_they_have_parts(name: str, width: int, lines: list[str]) -> None:
    assert name_lines(name, width) == lines


@given(st.text("ab-._", min_size=1, max_size=63), st.integers(LEAST, MOST))
def test_a_name_fits_and_says_where_it_was_cut(name: str, width: int) -> None:
    lines = name_lines(name, width)
    assert 1 <= len(lines) <= NAME_LINES
    assert all(0 < len(line) <= width for line in lines)
    assert "".join(lines) == name or "~" in "".join(lines)
