"""The rows of a table: filtered, sorted, marked. Pure; the widget draws what this decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from console.tui.rows.cells import Column, Row, SortKey
from console.tui.rows.filters import TextFilter


class TableModel:
    """Rows by group (a node), and which of them are shown in what order.

    Changes are collected; `settle` works out the order. `sort_column` None keeps the order in
    which groups and their rows were put.
    """

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns
        self.shown: list[Row] = []
        self.marks: set[str] = set()
        self.sort_column: str | None = None
        self.reverse = False
        self.filter = TextFilter()
        self.hidden_groups: Callable[[str], bool] | None = None
        """Groups that a selector leaves out."""
        self._groups: dict[str, tuple[Row, ...]] = {}
        self._order_stale = False  # values changed: the order may have
        self._rows_stale = False  # rows came or went, or another filter or sort was asked for

    @property
    def total(self) -> int:
        """Rows before the filter."""
        return sum(len(rows) for rows in self._groups.values())

    @property
    def wants_order(self) -> bool:
        """Whether values have changed since the order was worked out."""
        return self._order_stale

    def put(self, group: str, rows: Iterable[Row]) -> bool:
        """Replace the rows of a group. True if anything differs."""
        new = tuple(rows)
        old = self._groups.get(group)
        if old == new:
            return False
        self._groups[group] = new
        self._order_stale = True
        if old is None or [r.key for r in old] != [r.key for r in new]:
            self._rows_stale = True
        return True

    def drop(self, group: str) -> None:
        """A group is no more."""
        if self._groups.pop(group, None) is not None:
            self._rows_stale = True

    def sort_by(self, column: str, *, reverse: bool | None = None) -> None:
        """Sort by a column, its own way at first; asked again, the other way round."""
        if reverse is None:
            first = any(c.id == column and c.largest_first for c in self.columns)
            reverse = not self.reverse if column == self.sort_column else first
        self.sort_column, self.reverse = column, reverse
        self._rows_stale = True

    def narrow(self, text: str) -> None:
        """Show only rows that match."""
        self.filter = TextFilter(text)
        self._rows_stale = True

    def select_groups(self, hidden: Callable[[str], bool] | None) -> None:
        """Leave out the groups for which `hidden` is true."""
        self.hidden_groups = hidden
        self._rows_stale = True

    def settle(self, *, reorder: bool) -> bool:
        """Bring `shown` up to date; True if rows came, went or moved.

        With `reorder` false rows keep their places as long as the same rows are shown.
        """
        matching = list(self._matching())
        if not self._rows_stale and not (reorder and self._order_stale):
            fresh = {row.key: row for row in matching}
            if len(fresh) == len(self.shown) and all(r.key in fresh for r in self.shown):
                self.shown = [fresh[row.key] for row in self.shown]
                return False
        before = [row.key for row in self.shown]
        self.shown = self._sorted(matching)
        self._order_stale = self._rows_stale = False
        return before != [row.key for row in self.shown]

    def marked(self) -> list[Row]:
        """The marked rows that still exist, shown or not."""
        if not self.marks:
            return []
        return [row for rows in self._groups.values() for row in rows if row.key in self.marks]

    def _matching(self) -> Iterable[Row]:
        pattern, inverse = self.filter.pattern(), self.filter.inverse
        hidden = self.hidden_groups
        for group, rows in self._groups.items():
            if hidden is not None and hidden(group):
                continue
            if pattern is None:
                yield from rows
            else:
                for row in rows:
                    if (pattern.search(row.search_text()) is None) is inverse:
                        yield row

    def _sorted(self, rows: list[Row]) -> list[Row]:
        index = next((i for i, c in enumerate(self.columns) if c.id == self.sort_column), None)
        if index is None:
            return rows

        def value(row: Row) -> tuple[bool, float, str]:
            return order_of(row.cells[index].sort)

        known = [row for row in rows if row.cells[index].sort is not None]
        unknown = [row for row in rows if row.cells[index].sort is None]
        return [*sorted(known, key=value, reverse=self.reverse), *unknown]


def order_of(key: SortKey) -> tuple[bool, float, str]:
    """Numbers before words; words without regard to case."""
    if isinstance(key, str):
        return (True, 0.0, key.lower())
    return (False, key or 0.0, "")
