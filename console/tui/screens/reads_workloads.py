"""What the screens about workloads share: nodes are asked on opening, when asked to, and when
their jobs have changed something."""

from __future__ import annotations

import time
from collections.abc import Iterable

from console.tui.commands import Command
from console.tui.look import words
from console.tui.ports import Context
from console.tui.rows.cells import Row
from console.tui.screens.container_actions import ContainerActions
from console.tui.screens.tables import TableView
from console.tui.widgets.line import Piece


class ReadsWorkloads(TableView, ContainerActions):
    """The live picture says what runs; the nodes' answers, what Roost placed."""

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self._seen_version = -1

    def node_names(self) -> list[str]:
        """The nodes that the selector picks."""
        hidden = self.model.hidden_groups
        return [name for name in self.context.fleet.nodes if hidden is None or not hidden(name)]

    def arrive(self) -> None:
        super().arrive()
        self.act_workloads_read()

    def act_workloads_read(self) -> None:
        """Ask the nodes again."""
        self._read(self.node_names())

    def _read(self, names: Iterable[str]) -> None:
        async def read() -> None:
            await self.context.placed.read(self.context.fleet, names)
            if self.is_current:
                self.bring_up_to_date()

        self.run_worker(read(), group="workloads", exit_on_error=False)

    def bring_up_to_date(self) -> None:
        placed, nodes = self.context.placed, self.context.fleet.nodes
        looked_at = self.dirty if self._filled else set(nodes)
        moved = [name for name in looked_at if name in nodes and placed.has_moved(nodes[name])]
        if self._seen_version != placed.version:
            self._seen_version = placed.version
            self._filled = False
        super().bring_up_to_date()
        if moved:
            self._read(moved)

    def position(self) -> list[Piece]:
        placed, names = self.context.placed, self.node_names()
        pieces = super().position()
        silent = sum(name in placed.problems for name in names)
        if silent:
            pieces.append((f" {silent} did not answer", "warn"))
        at = placed.oldest(names)
        if placed.reading:
            pieces.append((" reading", "dim"))
        elif at is not None:
            pieces.append((f" read {words.age(max(0.0, time.time() - at))} ago", "dim"))
        return pieces

    def container_rows(self) -> list[Row]:
        return self.targets()

    def current_row(self) -> Row | None:
        return self.table.current

    def workload_under_cursor(self) -> tuple[str, str] | None:
        """Node and name."""
        raise NotImplementedError

    def act_pin_undo(self) -> None:
        """Of the workload under the cursor, else the last pin that was made here."""
        here = self.workload_under_cursor() or self.context.placed.last_pin
        if here is None:
            self.say("Put the cursor on a workload: nothing was pinned from here yet.")
        else:
            self.offer_undo(*here)

    def act_doctor(self) -> None:
        if (row := self.table.current) is not None:
            self.host.drill(f"doctor @{row.group}")
