"""The rollouts of this host's journal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.widget import Widget

from console.fleet.picture import NodeView
from console.rollouts.record import Rollout
from console.tui.action import Scope
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.look import words
from console.tui.ports import Context
from console.tui.rollouts import Followed
from console.tui.rows.cells import Row
from console.tui.rows.rollouts import COLUMNS, reason_words, rollout_rows, runner_words
from console.tui.screens.rollout_actions import RolloutActions
from console.tui.screens.tables import TableView
from console.tui.widgets.bars import Bar
from console.tui.widgets.line import Piece


class RolloutsScreen(TableView, RolloutActions):
    """`:rollouts /FILTER`. Enter opens one."""

    scope: ClassVar[Scope] = "rollouts"
    columns = COLUMNS
    noun = "rollout"

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self._about = Bar(context.look)

    @property
    def selector(self) -> str:
        return ""  # rows are no node's

    def body(self) -> Sequence[Widget]:
        return [self.table, self._about]

    def rows_of(self, view: NodeView) -> Iterable[Row]:
        return []

    def bring_up_to_date(self) -> None:
        """Show what was read, and read what has changed since."""
        self._show()
        self.look_again()

    def look_again(self) -> None:
        async def look() -> None:
            await self.context.rollouts.look()
            if self.is_current:
                self._show()

        run_beside(self, look, group="journal")

    def _show(self) -> None:
        self.dirty.clear()
        self.model.put("", rollout_rows(self.context.rollouts, self.context.look.glyphs))
        self.table.bring_up_to_date()
        self.show_bars()

    def show_bars(self) -> None:
        """And what the one under the cursor waits for."""
        super().show_bars()
        rollout, board = self.subject(), self.context.rollouts
        text = reason_words(board, rollout) if rollout is not None else ""
        self._about.show([(f" {text}", "dim")] if text else [])

    def is_production(self) -> bool:
        return False  # rows are no node's

    def when_empty(self) -> str:
        board = self.context.rollouts
        if board.problem is not None:
            return board.problem.detail
        if board.read_at is None and board.desk is not None:
            return "reading the journal ..."
        if not self.model.total:
            return "there is no rollout yet: roost rollout plan makes one"
        return super().when_empty()

    def position(self) -> list[Piece]:
        board = self.context.rollouts
        pieces = super().position()
        if not board.bell:
            pieces.insert(0, (" no bell", "warn"))
        if board.problem is not None:
            ago = words.age(time.time() - board.read_at) if board.read_at else "never"
            pieces.append((f" read {ago} ago" if board.read_at else " not read", "bad"))
        return pieces

    def subject(self) -> Rollout | None:
        row = self.table.current
        found = (each for each in self.context.rollouts.listed if row and each.id == row.key)
        return next(found, None)

    def is_lone(self) -> bool:
        rollout = self.subject()
        return rollout is not None and runner_words(self.context.rollouts, rollout)[0] == "nobody"

    def open_row(self, row: Row) -> None:
        self.host.drill(f"rollout {row.key}")

    def act_rollout_details(self) -> None:
        rollout = self.subject()
        if rollout is not None:
            steered = rollout.id in self.context.rollouts.steered
            self.show_all(Followed(rollout, [], [], None, steered))
