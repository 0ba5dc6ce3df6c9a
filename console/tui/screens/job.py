"""One job: what it is, and its log as it comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import ClassVar

from textual.widget import Widget

from agent.protocol.containers import LogLine
from agent.protocol.jobs import ENDED, Job, JobLogLine
from agent.protocol.problems import ProblemError
from console.fleet.picture import NodeView
from console.tui.action import Scope
from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.rows.job import job_entries
from console.tui.screens.job_actions import JobActions, NodeJob
from console.tui.screens.log_reader import LogReader
from console.tui.widgets.line import Piece
from console.tui.widgets.page import Entry, Page, wrap_entry

# The bars, and a line of the log at least.
_AROUND = 4


class JobScreen(LogReader, JobActions):
    """`:job @NODE ID`."""

    scope: ClassVar[Scope] = "job"
    final = ("job.", "auth.", "request.")

    def __init__(self, context: Context, command: Command) -> None:
        super().__init__(context, command)
        self.node, self.job_id = _node_and_job(command.argument, context)
        self.about = f"{self.node}/{self.job_id}"
        self.crumb = f"job {self.about}"
        self.job: Job | None = self._in_picture()
        self._page = Page(context.look)
        self._page.can_focus = False
        self._last_line = 0

    def body(self) -> Sequence[Widget]:
        return [self._page, *super().body()]

    def job_targets(self) -> Sequence[NodeJob]:
        view = self.context.fleet.nodes.get(self.node)
        return [NodeJob(view, self.job)] if view is not None and self.job is not None else []

    def bring_up_to_date(self) -> None:
        # The log's end tells of an end as well, and may come first.
        if self.job is None or self.job.state not in ENDED:
            self.job = self._in_picture() or self.job
        self.show_job()
        super().bring_up_to_date()

    def position(self) -> list[Piece]:
        state = self.job.state if self.job is not None else ""
        ended = self.state == "ended" and state
        if not ended:
            return super().position()
        first, last = self.log_view.seen
        return [(f" {state}", "dim"), (f"  {first}-{last} of {len(self.buffer.shown)}", "dim")]

    def _in_picture(self) -> Job | None:
        view = self.context.fleet.nodes.get(self.node)
        jobs = view.jobs() if view is not None else []
        return next((job for job in jobs if job.id.startswith(self.job_id)), None)

    def show_job(self) -> None:
        """As it is now."""
        view = self.context.fleet.nodes.get(self.node)
        if view is None:
            return
        width = max(1, self.size.width - 2 * self.is_production())
        entries = self.entries(view, width)
        lines = sum(len(wrap_entry(entry, width)) for entry in entries)
        most = max(1, (self.size.height - _AROUND) * 2 // 3)
        self._page.styles.height = min(lines, most)
        self._page.show(entries)

    def entries(self, view: NodeView, width: int) -> list[Entry]:
        """What stands above the log; `width` is in cells."""
        if self.job is None:
            return [Entry("", " asking the node ...", "dim")]
        return job_entries(self.job, view)

    # its log

    def read_again(self) -> None:
        self._last_line = 0
        super().read_again()

    async def follow_log(self) -> None:
        client = self.context.fleet.client(self.node)
        if self.job is None:
            self.job = await client.job(self.job_id)
            self.bring_up_to_date()
        stream = client.job_log(self.job.id, follow=True, after=self._last_line)
        async with aclosing(stream) as batches:
            self.set_state("following")
            async for batch in batches:
                self._take(batch)

    def _take(self, batch: list[JobLogLine] | Job) -> None:
        if isinstance(batch, Job):
            self.job = batch
            self.show_job()
            return
        self._last_line = max([self._last_line, *(line.number for line in batch)])
        view = self.context.fleet.nodes.get(self.node)
        offset = (view.clock_offset_seconds if view is not None else None) or 0.0
        self.take_lines([LogLine(text=line.text, at=_time(line.at - offset)) for line in batch])


def _time(at: float) -> str | None:
    """As the lines above the log have it: of this console's clock and zone."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(at))
    except (ValueError, OverflowError, OSError):
        return None


def _node_and_job(argument: str, context: Context) -> tuple[str, str]:
    """ "@cam-01 01J8..." or "cam-01 01J8..."."""
    node, _, job = argument.removeprefix("@").strip().partition(" ")
    if node not in context.fleet.nodes or not job.strip():
        raise ProblemError(
            "fleet.node_unknown" if node and node not in context.fleet.nodes else "console.usage",
            f"There is no node {node[:60]!r}" if job.strip() else "No job was named",
            hint="Type :job @NODE ID, or :jobs to choose one.",
        )
    return node, job.strip()
