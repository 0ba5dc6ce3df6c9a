"""What a benchmark measured, and the table that shows it."""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, kw_only=True, frozen=True):
    """One figure. `limit` is what must be reached; `peer` was measured in the same run.

    A figure without a limit is there to compare with.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    peer_name: str | None = None
    peer: float | None = None
    note: str = ""
    void: bool = False  # it was not measured under what it is to be measured under: see `note`

    @property
    def within(self) -> bool:
        return not self.void and (self.limit is None or self.value <= self.limit)


HEAD = ("benchmark", "Roost", "must reach", "peer", "ratio", "")


def render(rows: list[Row]) -> str:
    """The table as text."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cells(row: Row) -> tuple[str, ...]:
    limit = "" if row.limit is None else f"<= {_number(row.limit)} {row.unit}"
    peer = ratio = ""
    if row.peer is not None:
        peer = f"{row.peer_name}: {_number(row.peer)} {row.unit}"
        ratio = f"{row.value / row.peer:.2f}x" if row.peer else ""
    verdict = "" if row.limit is None else ("ok" if row.within else "MISSED")
    verdict = "VOID" if row.void else verdict
    return (
        row.name,
        f"{_number(row.value)} {row.unit}",
        limit,
        peer,
        ratio,
        " ".join(part for part in (verdict, row.note) if part),
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"
