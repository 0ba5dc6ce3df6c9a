"""A container's log: follow, search, filter, from a time on, save."""

from __future__ import annotations

from contextlib import aclosing
from typing import ClassVar

from agent.protocol.problems import ProblemError
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.moments import is_moment
from console.tui.ports import Context
from console.tui.screens.log_reader import LogReader
from console.tui.widgets.question import Question

FIRST_LINES = 500
LEAN_FIRST_LINES = 200


class LogsScreen(LogReader):
    """`:logs @NODE CONTAINER`."""

    scope: ClassVar[Scope] = "logs"
    final = ("container.", "auth.", "request.")

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self.node, self.container = _node_and_container(command.argument, context)
        self.about = f"{self.node}/{self.container}"
        self.crumb = f"logs {self.about}"

    async def follow_log(self) -> None:
        count = LEAN_FIRST_LINES if self.context.profile.lean else FIRST_LINES
        begun = self.since is not None or len(self.buffer)
        stream = self.context.fleet.client(self.node).logs(
            self.container,
            follow=True,
            since=self.buffer.last_at or self.since,
            tail=None if begun else count,
        )
        async with aclosing(stream) as batches:
            self.set_state("following")
            async for lines in batches:
                self.take_lines(self.buffer.without_known(lines))

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
