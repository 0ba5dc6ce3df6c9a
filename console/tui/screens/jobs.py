"""Jobs across the fleet: what is being done, and what was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from console.fleet.picture import NodeView
from console.tui.action import Scope
from console.tui.rows.cells import Row
from console.tui.rows.jobs import COLUMNS, job_command, job_of, job_rows
from console.tui.screens.job_actions import JobActions, NodeJob
from console.tui.screens.tables import TableView


class JobsScreen(TableView, JobActions):
    """`:jobs SELECTOR /FILTER`. Enter shows the job, with its log."""

    scope: ClassVar[Scope] = "jobs"
    columns = COLUMNS
    first_sort = "state"
    noun = "job"

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return job_rows(view)

    def open_row(self, row: Row) -> None:
        self.host.drill(job_command(row, self.context.fleet.nodes.get(row.group)))

    def job_targets(self) -> Sequence[NodeJob]:
        nodes = self.context.fleet.nodes
        views = [(nodes[row.group], row.key) for row in self.targets() if row.group in nodes]
        found = [(view, job_of(view, key)) for view, key in views]
        return [NodeJob(view, job) for view, job in found if job is not None]
