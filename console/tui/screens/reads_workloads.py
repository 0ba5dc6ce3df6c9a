"""What the screens about workloads share."""

from __future__ import annotations

from console.tui.placed import Placed
from console.tui.rows.cells import Row
from console.tui.screens.container_actions import ContainerActions
from console.tui.screens.reads_answers import ReadsAnswers


class ReadsWorkloads(ReadsAnswers, ContainerActions):
    """The live picture says what runs; the nodes' answers, what Roost placed."""

    @property
    def answers(self) -> Placed:
        return self.context.placed

    def act_workloads_read(self) -> None:
        self.read_again()

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
