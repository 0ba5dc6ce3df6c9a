"""What tables with a column for each node share: which nodes, and going sideways."""

from __future__ import annotations

from collections.abc import Sequence

from console.fleet.selectors import check_selector, parse_selector
from console.tui.screens.tables import TableView
from console.tui.widgets.line import Piece
from console.tui.widgets.matrix import MatrixTable


class Sideways(TableView):
    """Selectors choose columns here: rows are no node's."""

    table: MatrixTable
    _names: Sequence[str] = ()

    def take_selectors(self, *texts: str) -> None:
        self._names = self.names_picked(*texts)

    def names_picked(self, *texts: str) -> list[str]:
        """The nodes that all of the selectors pick. Raises ProblemError `fleet.*`."""
        nodes = self.context.fleet.nodes
        selectors = [parse_selector(text) for text in texts if text]
        for selector in selectors:
            check_selector(selector, [view.entry for view in nodes.values()])
        return sorted(
            name
            for name, view in nodes.items()
            if all(selector.matches(name, view.entry.labels) for selector in selectors)
        )

    def _filter_done(self, text: str | None) -> None:
        super()._filter_done(text)
        self.bring_up_to_date()  # other nodes may be asked for

    def act_move_left(self) -> None:
        self.table.go_sideways(-1)

    def act_move_right(self) -> None:
        self.table.go_sideways(1)

    def act_move_page_left(self) -> None:
        self.table.go_sideways(-self.table.across.shown)

    def act_move_page_right(self) -> None:
        self.table.go_sideways(self.table.across.shown)

    def on_matrix_table_scrolled(self) -> None:
        if self.is_current:
            self.show_bars()

    def columns_seen(self) -> list[Piece]:
        """Which of the nodes can be seen, where not all can."""
        first, end = self.table.seen
        count = len(self.table.heads)
        if self.table.size.width and end - first < count:
            return [(f" <{first + 1}-{end} of {count}>", "dim")]
        return []

    def is_production(self) -> bool:
        nodes = self.context.fleet.nodes
        return bool(self._names) and all(nodes[name].entry.production for name in self._names)
