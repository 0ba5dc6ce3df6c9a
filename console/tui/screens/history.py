"""What happened in a rollout, followed: filter, search, save."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from agent.protocol.containers import LogLine
from agent.protocol.problems import ProblemError
from console.rollouts.record import Event
from console.rollouts.words import event_words
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rollouts import Follower
from console.tui.screens.log_reader import LogReader


class HistoryScreen(LogReader):
    """`:history ID`; without one, the newest rollout."""

    scope: ClassVar[Scope] = "history"
    final = ("rollout.not_found", "rollout.ambiguous", "rollout.journal_broken")

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        desk = context.rollouts.desk
        if desk is None:
            raise ProblemError("console.usage", "This console steers no rollouts.")
        self.node = ""  # of no node
        self.about = command.argument
        self.crumb = f"history {command.argument}".strip()
        self.log_view.times = True
        self._follower = Follower(desk, command.argument)

    async def follow_log(self) -> None:
        while True:
            found = await self._follower.look(None)
            self.set_state("following")
            if found.events:
                self.take_lines([_line(event) for event in found.events])
            await asyncio.sleep(self.host.refresh_seconds)


def _line(event: Event) -> LogLine:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(event.at))
    return LogLine(text=event_words(event), at=at)
