"""What changed on a node since a snapshot, as a tree whose parts fold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.widget import Widget

from agent.protocol.problems import ProblemError
from console.snapshots.comparing import Difference
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.rows.snapshots import CHANGE_COLUMNS, change_rows
from console.tui.screens.lists import ListView


class ChangesScreen(ListView):
    """`:changes @NODE FILE`. Enter folds and unfolds a part.

    Raises:
        ProblemError: `console.usage`, `fleet.node_unknown`.
    """

    scope: ClassVar[Scope] = "changes"
    columns = CHANGE_COLUMNS
    noun = "change"

    def __init__(self, context: Context, command: Command) -> None:
        node, _, self._file = command.argument.removeprefix("@").partition(" ")
        self._node = node
        self._found: Difference | None = None
        self._folded: set[str] = set()
        super().__init__(context, command)
        if node not in context.fleet.nodes or not self._file:
            raise ProblemError(
                "console.usage",
                f"There is no node {node!r}" if self._file else "which snapshot is not said",
                hint="Type :changes @NODE FILE, or open one from :snapshots.",
            )
        self.crumb = f"{self._file} -> {node}"

    def body(self) -> Sequence[Widget]:
        return [self.table]  # a row says all of it

    def listed(self) -> Iterable[Row]:
        if self._found is None:
            return []
        return change_rows(self._found, self._folded, self.context.look.glyphs)

    def arrive(self) -> None:
        super().arrive()
        path = self.context.snapshots.folder / self._file

        async def work() -> None:
            self._found = await self.context.snapshots.changes(path, self._node)
            self.bring_up_to_date()

        self.begin(work(), f"asking {self._node} how it is ...")

    def when_empty(self) -> str:
        if self._found is None:
            return f"asking {self._node} how it is ..." if self.is_working else "not known"
        return "nothing differs" if not self._found.changes else super().when_empty()

    def is_production(self) -> bool:
        view = self.context.fleet.nodes.get(self._node)
        return view is not None and view.entry.production

    def open_row(self, row: Row) -> None:
        self._folded ^= {row.key.partition("/")[0]}
        self.bring_up_to_date()

    def act_snapshot_fold(self) -> None:
        """All parts, or none."""
        found = self._found.changes if self._found else ()
        self._folded = set() if self._folded else {change.part for change in found}
        self.bring_up_to_date()
