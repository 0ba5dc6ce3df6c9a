"""GPUs across the fleet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from console.fleet.picture import NodeView
from console.tui.action import Scope
from console.tui.rows.cells import Row
from console.tui.rows.gpus import COLUMNS, gpu_rows
from console.tui.screens.tables import TableView


class GpusScreen(TableView):
    """`:gpus SELECTOR /FILTER`. Enter opens the node."""

    scope: ClassVar[Scope] = "gpus"
    columns = COLUMNS
    first_sort = "node"
    noun = "GPU"

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return gpu_rows(view, self.context.look.glyphs)

    def open_row(self, row: Row) -> None:
        self.host.drill(f"node {row.group}")

    def act_doctor(self) -> None:
        if (row := self.table.current) is not None:
            self.host.drill(f"doctor @{row.group}")
