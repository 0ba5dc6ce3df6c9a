"""What is not as fleet.yaml expects it, across the fleet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from console.fleet.drift import finding_of
from console.fleet.expectations import expectations
from console.fleet.picture import NodeView
from console.text import plural
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.drift import COLUMNS, drift_rows, drifts
from console.tui.screens.dialog import TextDialog
from console.tui.screens.finding import finding_entries
from console.tui.screens.tables import TableView


class DriftScreen(TableView):
    """`:drift SELECTOR /FILTER`. Enter says where it is expected.

    Raises:
        ProblemError: also `fleet.expect`; nothing is shown then.
    """

    scope: ClassVar[Scope] = "drift"
    columns = COLUMNS
    first_sort = "state"
    noun = "drift"

    def __init__(self, context: Context, command: Command) -> None:
        self._expected = {
            name: expectations(context.inventory, view.entry)
            for name, view in context.fleet.nodes.items()
        }
        super().__init__(context, command)

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return drift_rows(view, self._expected[view.name])

    def when_empty(self) -> str:
        if self.model.total:
            return super().when_empty()
        nodes = self.context.fleet.nodes
        asked = [name for name, expected in self._expected.items() if expected]
        if not asked:
            return "fleet.yaml expects nothing of any node: see `roost node drift`"
        silent = sum(nodes[name].facts() is None for name in asked)
        more = f"; {plural(silent, 'node')} never answered" if silent else ""
        return f"all is as expected on {plural(len(asked) - silent, 'node')}{more}"

    def open_row(self, row: Row) -> None:
        view = self.context.fleet.nodes[row.group]
        fact = row.key.removeprefix(f"{view.name}/")
        found = [each for each in drifts(view, self._expected[view.name]) if each.fact == fact]
        if not found:
            self.say("It is as expected now.")
            return
        entries = finding_entries(finding_of(found[0], view.name), view)
        self.app.push_screen(TextDialog(self.context, entries, title=found[0].state))

    def act_doctor(self) -> None:
        if (row := self.table.current) is not None:
            self.host.drill(f"doctor @{row.group}")
