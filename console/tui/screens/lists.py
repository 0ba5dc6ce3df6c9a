"""A table whose rows are no node's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from console.fleet.picture import NodeView
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.screens.tables import TableView
from console.tui.widgets.bars import Bar
from console.tui.widgets.line import Piece


class ListView(TableView):
    """All of `listed`; a bar below says more of the row under the cursor."""

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self._about = Bar(context.look)

    def listed(self) -> Iterable[Row]:
        """The rows, as they are known now."""
        raise NotImplementedError

    def about_row(self) -> list[Piece]:
        """What the bar says."""
        return []

    @property
    def selector(self) -> str:
        return ""

    def body(self) -> Sequence[Widget]:
        return [self.table, self._about]

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return []

    def is_production(self) -> bool:
        return False

    def bring_up_to_date(self) -> None:
        self.show_rows()

    def show_rows(self) -> None:
        """Show what is known, without asking anything."""
        self.dirty.clear()
        self.model.put("", self.listed())
        self.table.bring_up_to_date()
        self.show_bars()

    def show_bars(self) -> None:
        super().show_bars()
        self._about.show(self.about_row())
