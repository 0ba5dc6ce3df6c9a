"""A screen whose rows are a table: filter, marks, sort, copy, export."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import ClassVar

from textual.widget import Widget

from agent.protocol.problems import ProblemError
from console.fleet.picture import NodeView
from console.fleet.selectors import check_selector, parse_selector
from console.text import plural
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.cells import Column, Row
from console.tui.rows.model import TableModel
from console.tui.screens.base import View
from console.tui.widgets.line import Piece
from console.tui.widgets.question import Question
from console.tui.widgets.table import RowTable

_LABELS = "-l "
# Nodes whose rows are made without a pause: a few milliseconds.
_AT_ONCE = 50


class TableView(View):
    """Rows of all nodes that the selector picks; `rows_of` gives one node's.

    Raises:
        ProblemError: the selector is wrong, or names what there is not; nothing is shown then.
    """

    columns: ClassVar[tuple[Column, ...]]
    first_sort: ClassVar[str | None] = None
    noun: ClassVar[str] = "row"

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self.crumb = command.view if not command.argument else f"{command.view} {command.argument}"
        self.model = TableModel(self.columns)
        self.table = RowTable(self.model, context.look, keep_cursor=True)
        self._labels = ""
        self._filled = False
        if self.first_sort is not None:
            self.model.sort_by(self.first_sort)
        if self.scope in context.sorts:
            column, reverse = context.sorts[self.scope]
            self.model.sort_by(column, reverse=reverse)
        self.model.narrow(command.filter)
        self.take_selectors(self.selector)

    @property
    def selector(self) -> str:
        """Which nodes are shown, as it was typed."""
        return self.command.argument

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        """The rows of one node."""
        raise NotImplementedError

    def open_row(self, row: Row) -> None:
        """Enter on a row."""

    def body(self) -> Sequence[Widget]:
        return [self.table]

    def arrive(self) -> None:
        super().arrive()
        self.table.focus()

    # what is shown

    def bring_up_to_date(self) -> None:
        nodes = self.context.fleet.nodes
        if not self._filled:
            self._filled = True
            for view in nodes.values():
                self.model.put(view.name, self.rows_of(view))
        else:
            # An age grows without any word from the node.
            old = {name for name, view in nodes.items() if view.state != "live"}
            if not self._take_changes(self.dirty | old):
                return
        self.table.bring_up_to_date()
        super().bring_up_to_date()

    def when_empty(self) -> str:
        """What is said instead of rows."""
        if self.model.total and (self.model.filter.text or self._labels):
            return "nothing matches: Esc clears the filter"
        return f"no {self.noun}s{' here' if self.model.total else ''}"

    def _take_changes(self, names: set[str]) -> bool:
        """The rows of the nodes, some at a time, so that keys do not wait for a whole
        fleet. False: the rest comes after what waits."""
        now, later = set(islice(names, _AT_ONCE)), set(islice(names, _AT_ONCE, None))
        self.dirty = later
        nodes = self.context.fleet.nodes
        for name in now:
            if name in nodes:
                self.model.put(name, self.rows_of(nodes[name]))
            else:
                self.model.drop(name)
        if later:
            self.call_later(self._go_on)
        return not later

    async def _go_on(self) -> None:
        # A widget's messages that wait are taken in one go: without this, no key comes between.
        await asyncio.sleep(0)
        if self._take_changes(self.dirty):
            self.table.bring_up_to_date()
            super().bring_up_to_date()

    def take_selectors(self, *texts: str) -> None:
        """Show only the nodes that all of the selectors pick.

        Raises:
            ProblemError: `fleet.selector`, `fleet.label_unknown` or `fleet.node_unknown`.
        """
        nodes = self.context.fleet.nodes
        selectors = [parse_selector(text) for text in texts if text]
        for selector in selectors:
            check_selector(selector, [view.entry for view in nodes.values()])

        def hidden(name: str) -> bool:
            labels = nodes[name].entry.labels if name in nodes else {}
            return not all(selector.matches(name, labels) for selector in selectors)

        self.model.select_groups(hidden if selectors else None)

    def show_bars(self) -> None:
        self.table.say_when_empty(self.when_empty())
        super().show_bars()

    def position(self) -> list[Piece]:
        model, table = self.model, self.table
        shown = len(model.shown)
        pieces: list[Piece] = []
        if model.filter.text:
            pieces.append((f" /{model.filter.text}", "warn"))
        if self._labels:
            pieces.append((f" {_LABELS}{self._labels}", "warn"))
        if model.marks:
            pieces.append((f" {len(model.marks)} marked", "warn"))
        last = min(shown, table.top + table.body_height)
        span = f"{table.top + 1}-{last} of " if table.size.height and shown else ""
        total = f" ({model.total} in all)" if shown != model.total else ""
        pieces.append((f"  {span}{shown}{total}", "dim"))
        return pieces

    def is_production(self) -> bool:
        nodes = self.context.fleet.nodes
        groups = {row.group for row in self.model.shown}
        return bool(groups) and all(nodes[g].entry.production for g in groups if g in nodes)

    def frame(self, *, production: bool) -> None:
        super().frame(production=production)
        self.table.show_tags(shown=not production)

    def on_row_table_moved(self) -> None:
        if self.is_current:
            self.show_bars()

    def on_row_table_chosen(self) -> None:
        self.act_open()

    def on_row_table_header_clicked(self, event: RowTable.HeaderClicked) -> None:
        self.act_sort(event.column)

    def redress(self) -> None:
        self._filled = False
        super().redress()
        self.table.redress()
        self.bring_up_to_date()

    # the cursor

    def act_move_up(self) -> None:
        self.table.move_to(self.table.cursor - 1)

    def act_move_down(self) -> None:
        self.table.move_to(self.table.cursor + 1)

    def act_move_page_up(self) -> None:
        self.table.page(-1)

    def act_move_page_down(self) -> None:
        self.table.page(1)

    def act_move_top(self) -> None:
        self.table.move_to(0)

    def act_move_bottom(self) -> None:
        self.table.move_to(len(self.model.shown) - 1)

    def act_open(self) -> None:
        if (row := self.table.current) is not None:
            self.open_row(row)

    def act_placement(self) -> None:
        if (row := self.table.current) is not None:
            self.host.drill(f"placement @{row.group}")

    def act_workloads(self) -> None:
        if (row := self.table.current) is not None:
            self.host.drill(f"workloads @{row.group}")

    # rows

    def act_mark(self) -> None:
        self.table.toggle_mark()
        self.show_bars()

    def act_mark_all(self) -> None:
        self.table.mark_shown()
        self.show_bars()

    def act_mark_range(self) -> None:
        self.table.mark_range()
        self.show_bars()

    def targets(self) -> list[Row]:
        """What an action is about: the marked rows, else the one under the cursor."""
        marked = self.model.marked()
        if marked:
            return marked
        return [self.table.current] if self.table.current is not None else []

    def act_sort(self, column: str) -> None:
        if any(c.id == column for c in self.model.columns):
            self.model.sort_by(column)
            self.context.sorts[self.scope] = (column, self.model.reverse)
            self.table.bring_up_to_date(reorder=True)
            self.table.move_to(0)  # what was asked for is at the top
            self.table.refresh()

    def act_filter(self) -> None:
        before = f"{_LABELS}{self._labels}" if self._labels else self.model.filter.text
        self.ask(Question("/", self._filter_done, self._filter_changed, text=before))

    def _filter_changed(self, text: str) -> None:
        if not text.startswith("-"):
            self._labels = ""
            self.model.narrow(text)
            self.table.bring_up_to_date()
            self.show_bars()

    def _filter_done(self, text: str | None) -> None:
        """Enter keeps what was typed; Escape drops it."""
        text = text or ""
        self._labels = text.removeprefix(_LABELS).strip() if text.startswith(_LABELS) else ""
        self.model.narrow("" if self._labels else text)
        try:
            self.take_selectors(self.selector, self._labels)
        except ProblemError as error:
            self._labels = ""
            self.show_problem(error.problem())
        self.table.bring_up_to_date()
        self.show_bars()

    def act_back(self) -> None:
        if not self.is_working and (self.model.filter.text or self._labels):
            self._filter_done(None)
        elif not self.is_working and self.model.marks:
            self.model.marks.clear()
            self.table.refresh()
            self.show_bars()
        else:
            super().act_back()

    # taking it elsewhere

    def act_copy(self) -> None:
        from console.tui.export import rows_as_text

        rows = self.targets()
        text = rows_as_text(self.model.columns, rows, header=False)
        self.copy(text, plural(len(rows), self.noun))

    def act_export(self) -> None:
        from console.tui.export import suggested_name, table_as

        columns, rows = self.model.columns, list(self.model.shown)
        self.ask_where_to_save(
            suggested_name(str(self.command), "csv"),
            lambda path: table_as(path, columns, rows),
            plural(len(rows), self.noun),
        )
