"""One row per node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from console.fleet.picture import NodeView
from console.text import plural
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.rows.cells import Row
from console.tui.rows.fleet import COLUMNS, fleet_row
from console.tui.rows.jobs import running_jobs
from console.tui.screens.tables import TableView
from console.tui.widgets.line import Piece


class FleetScreen(TableView):
    """The first screen: every node of the fleet."""

    scope: ClassVar[Scope] = "fleet"
    columns = COLUMNS
    first_sort = "name"
    noun = "node"

    def retarget(self, command: Command) -> None:
        """Show other nodes; this screen stays the first one."""
        self.take_selectors(command.argument)
        self.command = command
        self.crumb = " ".join(part for part in ("fleet", command.argument) if part)
        self.model.narrow(command.filter)
        self.bring_up_to_date()

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return [fleet_row(view, self.context.look.glyphs)]

    def when_empty(self) -> str:
        if self.context.fleet.nodes:
            return super().when_empty()
        return "no nodes yet: roost node add ADDRESS puts one here"

    def position(self) -> list[Piece]:
        running = sum(map(running_jobs, self.context.fleet.nodes.values()))
        words: list[Piece] = [(f" {plural(running, 'job')} running", "accent")] if running else []
        return [*words, *super().position()]

    def act_back(self) -> None:
        """After the filter and the marks, Escape drops the selector: this is the first screen."""
        narrowed = self.model.filter.text or self._labels or self.model.marks
        if self.command.argument and not narrowed and not self.is_working:
            self.retarget(Command("fleet"))
        else:
            super().act_back()

    def open_row(self, row: Row) -> None:
        self.host.drill(f"node {row.group}")

    def act_logs(self) -> None:
        """The log of a node's only container; else its containers, to choose from."""
        if (row := self.table.current) is None:
            return
        containers = self.context.fleet.nodes[row.group].containers()
        if len(containers) == 1:
            self.host.drill(f"logs @{row.group} {containers[0].name}")
        else:
            self.host.drill(f"containers @{row.group}")

    def act_shell(self) -> None:
        if (row := self.table.current) is not None:
            self.open_shell(row.group)

    def act_retry(self) -> None:
        names = sorted({row.group for row in self.targets()})
        for name in names:
            self.context.fleet.retry(name)
        if names:
            which = names[0] if len(names) == 1 else f"{len(names)} nodes"
            self.say(f"Trying to reach {which} now.")

    def act_jobs(self) -> None:
        self._drill("jobs")

    def act_images(self) -> None:
        self._drill("images")

    def act_engines(self) -> None:
        self._drill("engines")

    def act_doctor(self) -> None:
        self._drill("doctor")

    def act_placement(self) -> None:
        self._drill("placement")

    def act_workloads(self) -> None:
        self._drill("workloads")

    def act_compat(self) -> None:
        self._drill("compat")

    def _drill(self, view: str) -> None:
        """Another view of the node under the cursor, or of the marked ones."""
        names = {row.group for row in self.targets()}
        if names:
            self.host.drill(f"{view} {','.join(f'@{name}' for name in sorted(names))}")
