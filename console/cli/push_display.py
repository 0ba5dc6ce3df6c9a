"""How far pushes are, on standard error: a few lines on a terminal, one line now and then else."""

from __future__ import annotations

import asyncio
import shutil
import sys
from types import TracebackType

from console.cli.output import say
from console.cli.table import cut
from console.images.push import PushState
from console.text import age, clean, size

EVERY_SECONDS = 0.5
# Without a terminal: a log, which is read afterwards.
LINE_EVERY_SECONDS = 30.0
_WORDS = {
    "connecting": "connecting",
    "planning": "looking what it has",
    "sending": "sending",
    "waiting": "",
    "done": "done",
    "failed": "failed",
}


class PushDisplay:
    """Shows the states that were added, until it is left."""

    def __init__(self) -> None:
        self._states: list[PushState] = []
        self._lines = 0
        self._terminal = sys.stderr.isatty()
        self._told: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, state: PushState) -> None:
        """Show this one too; it is looked at again and again."""
        self._states.append(state)

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._keep_showing())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._erase()

    async def _keep_showing(self) -> None:
        since = 0.0
        while True:
            if self._terminal:
                self._draw()
            else:
                self._tell(all_of_them=since >= LINE_EVERY_SECONDS)
                since = 0.0 if since >= LINE_EVERY_SECONDS else since
            await asyncio.sleep(EVERY_SECONDS)
            since += EVERY_SECONDS

    def _draw(self) -> None:
        columns, rows = shutil.get_terminal_size()
        busy = [state for state in self._states if state.stage not in {"done", "failed"}]
        lines = [line(state) for state in busy[: max(1, rows - 3)]]
        lines.append(self._total())
        text = "".join(f"{cut(clean(each), columns - 1)}\x1b[K\n" for each in lines)
        self._erase(keep=True)
        sys.stderr.write(text + "\x1b[J")
        sys.stderr.flush()
        self._lines = len(lines)

    def _erase(self, *, keep: bool = False) -> None:
        if self._lines:
            sys.stderr.write(f"\x1b[{self._lines}A\r" + ("" if keep else "\x1b[J"))
            sys.stderr.flush()
            self._lines = 0

    def _tell(self, *, all_of_them: bool) -> None:
        for state in self._states:
            stage = f"{state.stage} {state.job.stage if state.job else ''} {state.trouble or ''}"
            if self._told.get(state.node) != stage or (
                all_of_them and state.stage not in {"done", "failed"}
            ):
                self._told[state.node] = stage
                say(line(state))

    def _total(self) -> str:
        ended = sum(state.stage in {"done", "failed"} for state in self._states)
        sent = sum(state.sent_bytes for state in self._states)
        rate = sum(state.bytes_per_second for state in self._states if state.stage == "sending")
        return f"{ended} of {len(self._states)} nodes, {size(sent)} sent, {size(rate)}/s"


def line(state: PushState) -> str:
    """One node's state in words."""
    if state.trouble is not None:
        return f"{state.node}: trying again: {state.trouble}"
    if state.stage == "sending":
        return f"{state.node}: {_sending(state)}"
    job = state.job
    if state.stage == "waiting" and job is not None:
        part = f" {100 * job.done // job.total}%" if job.done is not None and job.total else ""
        why = f": {job.reason}" if job.reason else ""
        return f"{state.node}: {job.stage or job.state}{part}{why}"
    return f"{state.node}: {_WORDS[state.stage]}"


def _sending(state: PushState) -> str:
    text = f"sending, {size(state.sent_bytes)} so far"
    if state.total_bytes:
        text += f", {100 * state.done_bytes // state.total_bytes}%"
    if state.bytes_per_second:
        text += f", {size(state.bytes_per_second)}/s"
        if state.done_bytes and state.sent_bytes:
            # What is left, as it shrank so far.
            left = (state.total_bytes - state.done_bytes) * state.sent_bytes / state.done_bytes
            text += f", {age(left / state.bytes_per_second)} left"
    return text
