"""The rollouts of this host's journal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import ClassVar

from console.rollouts.record import Rollout
from console.tui.action import Scope
from console.tui.beside import run_beside
from console.tui.look import words
from console.tui.rollouts import Followed
from console.tui.rows.cells import Row
from console.tui.rows.rollouts import COLUMNS, reason_words, rollout_rows, runner_words
from console.tui.screens.lists import ListView
from console.tui.screens.rollout_actions import RolloutActions
from console.tui.widgets.line import Piece


class RolloutsScreen(ListView, RolloutActions):
    """`:rollouts /FILTER`. Enter opens one."""

    scope: ClassVar[Scope] = "rollouts"
    columns = COLUMNS
    noun = "rollout"

    def listed(self) -> Iterable[Row]:
        return rollout_rows(self.context.rollouts, self.context.look.glyphs)

    def bring_up_to_date(self) -> None:
        """Show what was read, and read what has changed since."""
        self.show_rows()
        self.look_again()

    def look_again(self) -> None:
        async def look() -> None:
            await self.context.rollouts.look()
            if self.is_current:
                self.show_rows()

        run_beside(self, look, group="journal")

    def about_row(self) -> list[Piece]:
        """What the one under the cursor waits for."""
        rollout, board = self.subject(), self.context.rollouts
        text = reason_words(board, rollout) if rollout is not None else ""
        return [(f" {text}", "dim")] if text else []

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
