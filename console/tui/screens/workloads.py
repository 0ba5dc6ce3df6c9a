"""What Roost placed on nodes: which GPUs, which release, and whether it can be undone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from console.fleet.picture import NodeView
from console.tui.action import Scope
from console.tui.rows.cells import Row
from console.tui.rows.workloads import COLUMNS, workload_key, workload_rows
from console.tui.screens.pin_flow import Target
from console.tui.screens.reads_workloads import ReadsWorkloads


class WorkloadsScreen(ReadsWorkloads):
    """`:workloads SELECTOR /FILTER`. Enter shows what has become of it."""

    scope: ClassVar[Scope] = "workloads"
    columns = COLUMNS
    first_sort = "node"
    noun = "workload"

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return workload_rows(view, self.context.placed)

    def when_empty(self) -> str:
        if not self.model.total and self.context.placed.reading:
            return "asking the nodes ..."
        return super().when_empty()

    def target_of(self, row: Row) -> Target | None:
        view = self.context.fleet.nodes.get(row.group)
        status = self.context.placed.status(*workload_key(row.key))
        if view is None or status is None:
            return None
        for container in view.containers():
            if container.id == status.container:
                return Target(view.name, view.entry.production, container)
        return None

    def workload_under_cursor(self) -> tuple[str, str] | None:
        row = self.table.current
        node, name = workload_key(row.key) if row is not None else ("", "")
        return (node, name) if name else None

    def open_row(self, row: Row) -> None:
        node, name = workload_key(row.key)
        problem = self.context.placed.problems.get(node)
        if not name and problem is not None:
            self.show_problem(problem, about=node)
        elif name and not self.is_working:
            self.begin(self._look(node, name), f"asking {node} ...")

    async def _look(self, node: str, name: str) -> None:
        status = self.context.placed.status(node, name)
        if status is None or status.deployment is None:
            self.call_later(self.say, "Nobody knows how it came there.", "warn")
            return
        client = self.context.fleet.client(node)
        deployment = await client.workloads.deployment(status.deployment)

        def show() -> None:
            from console.tui.rows.deployment import deployment_entries
            from console.tui.screens.dialog import TextDialog

            view = self.context.fleet.nodes[node]
            entries = deployment_entries(status, deployment, view)
            self.app.push_screen(TextDialog(self.context, entries, title=f"{name} on {node}"))

        self.call_later(show)
