"""Tables and logs to files: CSV, JSON or text, by the file's ending."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from agent.protocol.problems import ProblemError
from console.text import clean
from console.tui.look.words import UNKNOWN
from console.tui.rows.cells import Cell, Column, Row, plain, whole_text

PRODUCTION = "production"
FORMATS = (".csv", ".json", ".txt")
# A cell that begins like this is a formula to a spreadsheet.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_FIGURE = re.compile(r"!?(\d{1,15})(?:%|°C?|W|MHz)?", re.ASCII)


def suggested_name(what: str, ending: str) -> str:
    """A name that says what and when: "roost-node-cam-01-20260504-101500.csv"."""
    safe = "-".join(re.findall(r"[A-Za-z0-9_.-]+", what))[:60]
    return f"roost-{safe}-{time.strftime('%Y%m%d-%H%M%S')}.{ending}"


def table_as(path: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """All columns of the rows, shown or not, in the format that the file's ending says.

    Raises:
        ProblemError: `console.usage` for another ending.
    """
    ending = Path(path).suffix.lower()
    if ending == ".csv":
        return rows_as_csv(columns, rows)
    if ending == ".json":
        return rows_as_json(columns, rows)
    if ending == ".txt":
        return rows_as_text(columns, rows, header=True)
    raise ProblemError(
        "console.usage",
        f"Roost does not write {ending or 'a file without an ending'}",
        hint=f"End the name in {', '.join(FORMATS)}.",
    )


def write_new(path: str, text: str) -> None:
    """Write a file that only its owner can read; never over another one.

    Raises:
        ProblemError: `settings.unwritable`.
    """
    target = Path(path).expanduser()
    try:
        with os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise ProblemError(
            "settings.unwritable",
            f"{target}: {error.strerror}",
            params={"file": str(target)},
            hint="Choose another name, or a folder that you may write to.",
        ) from None


def rows_as_csv(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """For programs: a name is only a name, production stands in a column of its own.

    What is unknown is empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(column.id for column in columns), PRODUCTION])
    for row in rows:
        cells = [_harmless(_known(cell) or "") for cell in row.cells]
        writer.writerow([*cells, "yes" if _is_production(row) else ""])
    return out.getvalue()


def rows_as_json(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """For programs, as `rows_as_csv`; what is unknown is null, and figures are numbers."""
    records = [
        {
            **{column.id: _value(column, c) for column, c in zip(columns, row.cells, strict=True)},
            PRODUCTION: _is_production(row),
        }
        for row in rows
    ]
    return json.dumps(records, indent=2, ensure_ascii=False) + "\n"


def _known(cell: Cell) -> str | None:
    text = whole_text(cell) if cell.data is None else cell.data
    return None if text == UNKNOWN else text


def _value(column: Column, cell: Cell) -> str | int | None:
    """Without unit and mark where it is a figure: "!90°" is 90."""
    text = _known(cell)
    if text is None or column.align != "right":
        return text
    found = _FIGURE.fullmatch(text)
    return int(found[1]) if found else text


def _is_production(row: Row) -> bool:
    return any(cell.tag for cell in row.cells)


def rows_as_text(columns: Sequence[Column], rows: Sequence[Row], *, header: bool) -> str:
    """Aligned columns, for people."""
    lines = [[clean(plain(cell)) for cell in row.cells] for row in rows]
    if header:
        lines.insert(0, [column.title for column in columns])
    widths = [max((len(line[i]) for line in lines), default=0) for i in range(len(columns))]
    return "".join(
        "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _harmless(text: str) -> str:
    """A quote before what a spreadsheet would run; numbers stay numbers."""
    if text.startswith(_FORMULA_STARTS) and not text.lstrip("+-").replace(".", "", 1).isdigit():
        return f"'{text}"
    return text
