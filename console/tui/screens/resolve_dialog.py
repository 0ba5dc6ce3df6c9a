"""The ways out of a deployment that is stuck, and why it is."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.widget import Widget

from agent.protocol.deployments import Deployment, WorkloadStatus
from console.tui.ports import Context
from console.tui.rows.cells import Cell, Column, make_row
from console.tui.rows.workload_changes import WAYS, Way
from console.tui.screens.choosing import Choosing
from console.tui.widgets.page import BLANK, Entry, Page, wrap_entry

_COLUMNS = (
    Column("way", "WAY OUT", (10, 10, 12, 12)),
    Column("text", "WHAT STAYS", (30, 40, 60, 80), grow=60),
)
# What the ways themselves take, with their titles, the frame and the keys.
_AROUND = len(WAYS) + 4


class ResolveDialog(Choosing[Way]):
    """Answers with the way that was chosen. Nothing changes."""

    def __init__(
        self, context: Context, node: str, status: WorkloadStatus, deployment: Deployment
    ) -> None:
        title = f"{status.name} on {node} is stuck: {deployment.release}"
        if context.fleet.nodes[node].entry.production:
            title = f"PRODUCTION: {title}"
        super().__init__(context, _COLUMNS, title=title)
        self._ways: dict[str, Way] = {way: way for way in WAYS}
        self.model.put(
            "",
            [make_row(way, "", (Cell(way, "accent"), Cell(text))) for way, text in WAYS.items()],
        )
        problem = deployment.problem
        why = "the node does not say why" if problem is None else problem.detail
        entries = [Entry(" why  ", why, "bad")]
        if problem is not None and problem.hint:
            entries.append(Entry(" do   ", problem.hint, "accent"))
        self._why = Page(context.look, [*entries, BLANK])
        self._why.can_focus = False

    def above(self) -> Sequence[Widget]:
        return [self._why]

    def on_mount(self) -> None:
        self.table.bring_up_to_date(reorder=True)
        self.table.focus()
        self._fit()

    def on_resize(self, event: events.Resize) -> None:
        self._fit()

    def _fit(self) -> None:
        columns, rows = self.app.size
        width = columns * 9 // 10 - 2
        lines = sum(len(wrap_entry(entry, width)) for entry in self._why.entries)
        self._why.styles.height = lines = max(1, min(lines, rows * 9 // 10 - _AROUND))
        self.query_one("#choosing").styles.height = lines + _AROUND

    def take_key(self, key: str) -> bool:
        if key in {"j", "k"}:
            self.table.move_to(self.table.cursor + (1 if key == "j" else -1))
            return True
        return super().take_key(key)

    def choose(self) -> None:
        row = self.table.current
        self.dismiss(None if row is None else self._ways[row.key])
