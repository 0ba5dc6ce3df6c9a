"""The clipboard, files, and what may not reach a spreadsheet."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import cast

import pytest
from textual.app import App

from agent.protocol.problems import ProblemError
from console.tui.clipboard import LIMIT_BYTES, copy_text
from console.tui.export import rows_as_csv, suggested_name, table_as, write_new
from console.tui.look.glyphs import UNICODE
from console.tui.rows.cells import Cell, Column, make_row
from console.tui.rows.fleet import COLUMNS as FLEET_COLUMNS
from console.tui.rows.fleet import fleet_row
from tests.console.tui.fakes import make_node

COLUMNS = (Column("name", "NAME", (4, 4, 4, 4)), Column("load", "LOAD", (4, 4, 4, 4)))
ROWS = [
    make_row("a", "a", (Cell("a", tag="PROD"), Cell("1%", wide="1 of 100"))),
    make_row("b", "b", (Cell("=cmd()"), Cell("-5"))),
]


class Clipboard:
    """As much of an app as copying needs."""

    def __init__(self) -> None:
        self.text = ""

    def copy_to_clipboard(self, text: str) -> None:
        self.text = text


async def test_little_goes_to_the_terminal_and_much_to_a_file() -> None:
    app = Clipboard()
    said = await copy_text(cast("App[object]", app), "hello")
    assert (said, app.text) == ("sent to the terminal's clipboard", "hello")
    said = await copy_text(cast("App[object]", app), "x" * LIMIT_BYTES)
    assert app.text == "hello"
    await asyncio.to_thread(_was_written, Path(said.rpartition(" ")[2]))


def _was_written(file: Path) -> None:
    try:
        assert file.read_text(encoding="utf-8") == "x" * LIMIT_BYTES
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        file.unlink()


def test_formats_by_ending() -> None:
    assert table_as("x.csv", COLUMNS, ROWS).splitlines() == [
        "name,load,production",
        "a,1 of 100,yes",
        "'=cmd(),-5,",
    ]
    assert json.loads(table_as("x.JSON", COLUMNS, ROWS)) == [
        {"name": "a", "load": "1 of 100", "production": True},
        {"name": "=cmd()", "load": "-5", "production": False},
    ]
    assert table_as("x.txt", COLUMNS, ROWS) == ("NAME    LOAD\na PROD  1 of 100\n=cmd()  -5\n")
    for wrong in ("x.xlsx", "x"):
        with pytest.raises(ProblemError) as caught:
            table_as(wrong, COLUMNS, ROWS)
        assert caught.value.hint == "End the name in .csv, .json, .txt."


def test_what_programs_read_is_plain_and_unknown_is_null() -> None:
    hot = make_node("a", celsius=90)
    new = make_node("b", state="connecting", seen_ago=None)
    rows = [fleet_row(view, UNICODE) for view in (hot, new)]
    known, unknown = json.loads(table_as("x.json", FLEET_COLUMNS, rows))
    assert (known["state"], known["utilization"], known["temperature"]) == ("live", 40, 90)
    assert known["memory"] == "13.8/23.0G"
    assert (unknown["state"], unknown["driver"], unknown["utilization"]) == (
        "connecting",
        None,
        None,
    )
    lines = table_as("x.csv", FLEET_COLUMNS, rows).splitlines()
    assert lines[1].startswith("a,live,535.183.01,")
    assert lines[2].startswith("b,connecting,,,,,,,,,,")


def test_a_spreadsheet_runs_nothing() -> None:
    assert "'=cmd(),-5" in rows_as_csv(COLUMNS, ROWS)


def test_no_file_is_written_over_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    write_new(str(file), "one \ud800")
    assert file.read_text(encoding="utf-8") == "one ?"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for path in (file, tmp_path / "none" / "x.txt"):
        with pytest.raises(ProblemError) as caught:
            write_new(str(path), "two")
        assert caught.value.code == "settings.unwritable"
    assert file.read_text(encoding="utf-8") == "one ?"


def test_suggested_names_sort_by_time() -> None:
    assert suggested_name("fleet", "csv").startswith("roost-fleet-2")
    assert suggested_name("fleet", "csv").endswith(".csv")
