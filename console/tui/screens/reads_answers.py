"""What the screens share whose nodes are asked on opening, when asked to, and when their jobs have
changed something."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from console.tui.answers import Answers, FollowedAnswers
from console.tui.beside import run_beside
from console.tui.commands import Command
from console.tui.look import words
from console.tui.ports import Context
from console.tui.screens.tables import TableView
from console.tui.widgets.line import Piece


class ReadsAnswers(TableView):
    """A table of what nodes answered. `answers` says where that is kept."""

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self._seen_version = -1

    @property
    def answers(self) -> FollowedAnswers[Any]:
        """Kept for all screens."""
        raise NotImplementedError

    def node_names(self) -> list[str]:
        """The nodes that the selector picks."""
        hidden = self.model.hidden_groups
        return [name for name in self.context.fleet.nodes if hidden is None or not hidden(name)]

    def arrive(self) -> None:
        super().arrive()
        self.read_again()

    def read_again(self) -> None:
        """Ask the nodes again."""
        self._read(self.node_names())

    def _read(self, names: Iterable[str]) -> None:
        async def read() -> None:
            await self.answers.read(self.context.fleet, names)
            if self.is_current:
                self.bring_up_to_date()

        run_beside(self, read, group="answers")

    def bring_up_to_date(self) -> None:
        answers, nodes = self.answers, self.context.fleet.nodes
        looked_at = self.dirty if self._filled else set(nodes)
        moved = [name for name in looked_at if name in nodes and answers.has_moved(nodes[name])]
        if self._seen_version != answers.version:
            self._seen_version = answers.version
            self._filled = False
        super().bring_up_to_date()
        if moved:
            self._read(moved)

    def when_empty(self) -> str:
        if not self.model.total and self.answers.reading:
            return "asking the nodes ..."
        return super().when_empty()

    def position(self) -> list[Piece]:
        return [*super().position(), *how_old(self.answers, self.node_names())]


def how_old(answers: Answers[Any], names: Sequence[str]) -> list[Piece]:
    """Who did not answer, and when the oldest answer came."""
    pieces: list[Piece] = []
    silent = sum(name in answers.problems for name in names)
    if silent:
        pieces.append((f" {silent} did not answer", "warn"))
    at = answers.oldest(names)
    if answers.reading:
        pieces.append((" reading", "dim"))
    elif at is not None:
        pieces.append((f" read {words.age(max(0.0, time.time() - at))} ago", "dim"))
    return pieces
