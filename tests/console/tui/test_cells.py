"""Text in cells: wide characters, clusters, and characters that must not reach a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.tui.cells import split_cells


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("ab ", ["a", "b", " "]),
        ("世a", ["世", "", "a"]),
        ("e\u0301a", ["e\u0301", "a"]),
        ("👩\u200d🚀a", ["👩\u200d🚀", "", "a"]),
        ("❤\ufe0fa", ["❤\ufe0f", "", "a"]),
        ("a\u00a0b", ["a", "\u00a0", "b"]),
        ("", []),
        ("\u0301a", ["a"]),
    ],
)
def test_text_is_split_into_cells(text: str, cells: list[str]) -> None:
    assert list(split_cells(text)) == cells


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("\x1b[31mred", list("[31mred")),
        ("a\x07\x9b\x00b", ["a", "b"]),
        ("a\u202eb\u200f", ["a", "b"]),
        ("soft\u00adhyphen", list("soft?hyphen")),
        ("half \udc80 pair", list("half ? pair")),
        ("\u00ad\u200d\x1bb", ["?", "b"]),
        ("9\u200d\x1b\u200d99", ["?", "9"]),
    ],
)
def test_control_and_format_characters_are_dropped(text: str, cells: list[str]) -> None:
    assert list(split_cells(text)) == cells


@given(st.text())
def test_there_are_as_many_cells_as_the_layout_counts(text: str) -> None:
    cells = split_cells(text)
    assert len(cells) == cell_len(text)
    assert all(cells[at] or cell_len(cells[at - 1]) == 2 for at in range(len(cells)))
    "".join(cells).encode()
    assert not any("\x1b" in cell or "\x9b" in cell for cell in cells)
