"""Findings across the fleet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from console.fleet.picture import NodeView
from console.tui.action import Scope
from console.tui.rows.cells import Row
from console.tui.rows.findings import COLUMNS, finding_of, finding_rows, problem_of_row
from console.tui.screens.dialog import TextDialog
from console.tui.screens.finding import finding_entries, report_entries
from console.tui.screens.tables import TableView


class DoctorScreen(TableView):
    """`:doctor SELECTOR /FILTER`. Enter shows cause and mend."""

    scope: ClassVar[Scope] = "doctor"
    columns = COLUMNS
    first_sort = "severity"
    noun = "finding"

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return finding_rows(view)

    def open_row(self, row: Row) -> None:
        view = self.context.fleet.nodes.get(row.group)
        if view is not None and (problem := problem_of_row(view, row)) is not None:
            self.show_problem(problem, about=f"{view.name} is {view.state}")
            return
        finding = finding_of(view, row.key) if view is not None else None
        if view is None or finding is None:
            self.say("That finding is gone.")
            return
        self.app.push_screen(
            TextDialog(self.context, finding_entries(finding, view), title=finding.severity)
        )

    def act_checks(self) -> None:
        """Ask the doctor of the node under the cursor, or of the only node of this screen."""
        row = self.table.current
        node = row.group if row is not None else self._only_node()
        if node is None:
            self.say("Name a node: type :doctor @NODE, then v.")
        elif self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
        else:
            self.begin(self._ask_doctor(node), f"asking the doctor on {node} ...")

    async def _ask_doctor(self, node: str) -> None:
        view = self.context.fleet.nodes[node]
        report = await self.context.fleet.client(node).doctor(
            clock_offset_seconds=view.clock_offset_seconds,
            clock_uncertainty_seconds=view.clock_uncertainty_seconds,
        )
        self.app.push_screen(
            TextDialog(self.context, report_entries(report), title=f"Doctor on {node}")
        )

    def _only_node(self) -> str | None:
        name = self.command.argument.removeprefix("@")
        return name if name in self.context.fleet.nodes else None
