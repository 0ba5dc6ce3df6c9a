"""Tables that fit the terminal."""

from __future__ import annotations

import pytest

from console.cli.output import safe_json
from console.cli.table import Cell, Column, cells, cut, fit, print_table

COLUMNS = (
    Column("NODE", least=8),
    Column("DRIVER", keep=2),
    Column("UTIL", keep=1, right=True),
    Column("EMPTY"),
)
ROWS = [
    ("plant-1-a-long-name", Cell("535.183.01", "535"), "7%", ""),
    ("b", Cell("-", "-"), "100%", ""),
]


def test_what_has_room_is_whole() -> None:
    assert fit(COLUMNS, ROWS, 80) == [
        "NODE                 DRIVER      UTIL",
        "plant-1-a-long-name  535.183.01    7%",
        "b                    -           100%",
    ]


def test_short_words_come_before_narrow_gaps_before_fewer_columns_before_cuts() -> None:
    assert fit(COLUMNS, ROWS, 33)[1] == "plant-1-a-long-name  535       7%"
    assert fit(COLUMNS, ROWS, 31)[1] == "plant-1-a-long-name 535      7%"
    assert fit(COLUMNS, ROWS, 25)[1] == "plant-1-a-... 535      7%"
    assert fit(COLUMNS, ROWS, 15) == ["NODE     DRIVER", "plant... 535", "b        -"]
    assert fit(COLUMNS, ROWS, 5)[1:] == ["plant...", "b"]


def test_no_line_is_wider_than_the_terminal_while_columns_can_go() -> None:
    for limit in range(8, 60):
        assert max(map(cells, fit(COLUMNS, ROWS, limit))) <= limit


def test_no_rows_are_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    print_table((Column("NODE"), Column("STATE")), [])
    assert capsys.readouterr() == ("", "nothing to show\n")


def test_wide_characters_take_two_cells() -> None:
    assert cells("厂-1") == 4
    assert cut("厂厂厂厂厂", 8) == "厂厂..."
    lines = fit((Column("N"), Column("S")), [("厂", "x"), ("ab", "y")], 80)
    assert lines == ["N   S", "厂  x", "ab  y"]


def test_escape_codes_never_reach_the_terminal() -> None:
    (_, line) = fit((Column("N"),), [("\x1b[2Jx\x9b1m\u202e",)], 80)
    assert line == "\\x1b[2Jx\\x9b1m\\u202e"


def test_json_means_the_same_and_is_harmless() -> None:
    assert safe_json('{\n  "a": "x\x9by\u202e\U000e0001ü厂"\n}') == (
        '{\n  "a": "x\\u009by\\u202e\\udb40\\udc01ü厂"\n}'
    )
