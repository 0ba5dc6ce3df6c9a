"""A container's log: follow, search, filter, from a time on, save."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import ClassVar

from agent.protocol.problems import ProblemError
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.moments import is_moment
from console.tui.ports import Context
from console.tui.screens.log_reader import RETRY_SECONDS, LogReader
from console.tui.widgets.question import Question

FIRST_LINES = 500
LEAN_FIRST_LINES = 200
# These do not go away by trying again.
_FINAL = ("container.", "auth.", "request.")


class LogsScreen(LogReader):
    """`:logs @NODE CONTAINER`."""

    scope: ClassVar[Scope] = "logs"

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self.node, self.container = _node_and_container(command.argument, context)
        self.crumb = f"logs {self.node}/{self.container}"

    async def read_log(self) -> None:
        """Follow the log; where the link is cut, go on from the last line."""
        count = LEAN_FIRST_LINES if self.context.profile.lean else FIRST_LINES
        since, tail = self.since, count if self.since is None else None
        while True:
            try:
                client = self.context.fleet.client(self.node)
                stream = client.logs(self.container, follow=True, since=since, tail=tail)
                async with aclosing(stream) as batches:
                    self.set_state("following")
                    async for lines in batches:
                        self.take_lines(self.buffer.without_known(lines))
            except ProblemError as error:
                if error.code.startswith(_FINAL):
                    self.set_state("ended")
                    self.show_problem(error.problem(), about=f"{self.node}/{self.container}")
                    return
                self.set_state(f"cut ({error.code}), trying again")
            else:
                self.set_state("ended")
                return
            await asyncio.sleep(RETRY_SECONDS)
            since, tail = self.buffer.last_at or self.since, None if len(self.buffer) else tail

    def act_logs_since(self) -> None:
        def read(text: str | None) -> None:
            if text is None:
                return
            since = text.strip()
            if since and not is_moment(since):
                self.say(f"{since[:30]!r} is no time: 10m, 2h, or 2026-05-04T10:00:00Z.", "warn")
                return
            self.since = since or None
            self.read_again()

        self.ask(Question("since (10m, 2h, a time; empty: the end): ", read, text=self.since or ""))


def _node_and_container(argument: str, context: Context) -> tuple[str, str]:
    """ "@cam-01 web" or "cam-01 web"."""
    node, _, container = argument.removeprefix("@").strip().partition(" ")
    if node not in context.fleet.nodes or not container.strip():
        raise ProblemError(
            "fleet.node_unknown" if node not in context.fleet.nodes else "console.usage",
            f"There is no node {node[:60]!r}" if node else "No node was named",
            hint="Type: logs @NODE CONTAINER",
        )
    return node, container.strip()
