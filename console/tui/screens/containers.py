"""Containers across the fleet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from console.fleet.picture import NodeView
from console.tui.action import Scope
from console.tui.rows.cells import Row
from console.tui.rows.containers import COLUMNS, container_rows, containers_unknown
from console.tui.screens.container_actions import ContainerActions
from console.tui.screens.tables import TableView
from console.tui.widgets.page import BLANK, Entry


class ContainersScreen(TableView, ContainerActions):
    """`:containers SELECTOR /FILTER`. Enter opens the log."""

    scope: ClassVar[Scope] = "containers"
    columns = COLUMNS
    first_sort = "node"
    noun = "container"

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return container_rows(view)

    def container_rows(self) -> list[Row]:
        return self.targets()

    def current_row(self) -> Row | None:
        return self.table.current

    def open_row(self, row: Row) -> None:  # the one under the cursor
        view = self.context.fleet.nodes.get(row.group)
        if view is not None and row.key == f"{row.group}/":
            self._tell_why(view)
        else:
            self.act_logs()

    def _tell_why(self, view: NodeView) -> None:
        """Why the node's containers are not known: the table has no room for all of it."""
        from console.tui.screens.dialog import TextDialog

        entries = [Entry("", f"Nobody knows its containers: {containers_unknown(view)}")]
        if view.problem is not None and view.problem.hint:
            entries += [BLANK, Entry("Do: ", view.problem.hint, "", "accent")]
        self.app.push_screen(TextDialog(self.context, entries, title=view.name))

    def act_doctor(self) -> None:
        if (row := self.table.current) is not None:
            self.host.drill(f"doctor @{row.group}")
