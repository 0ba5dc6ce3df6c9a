"""Lines on standard error that change where a person looks on, and are told now and then else."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TextIO

from console.cli.output import say
from console.cli.table import cut
from console.text import clean

EVERY_SECONDS = 0.5
# Without a terminal: a log, which is read afterwards.
LINE_EVERY_SECONDS = 30.0
NODES_SHOWN = 8


class LiveLines(ABC):
    """Shows `lines` until it is left."""

    def __init__(self, out: TextIO | None = None) -> None:
        """`out` None: standard error."""
        self._out = out or sys.stderr
        self._terminal = self._out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._shown: list[str] = []
        self._told: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def lines(self, room: int) -> list[str]:
        """How it is now, in at most so many lines and one for all."""

    @abstractmethod
    def total(self) -> str:
        """All of it in one line."""

    @abstractmethod
    def news(self) -> list[tuple[str, str]]:
        """For each node that has something to tell, what."""

    def say(self, text: str) -> None:
        """A line that stays, above those that change."""
        if self._shown:
            self._write(f"\x1b[{len(self._shown)}A\r\x1b[J")
            self._shown = []
        say(text)

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
        if self._shown:
            self._write(f"\x1b[{len(self._shown)}A\r\x1b[J")

    async def _keep_showing(self) -> None:
        since = 0.0
        while True:
            if self._terminal:
                self.draw()
            else:
                self._tell()
                if since >= LINE_EVERY_SECONDS:
                    since = 0.0
                    say(self.total())
            await asyncio.sleep(EVERY_SECONDS)
            since += EVERY_SECONDS

    def draw(self) -> None:
        """Show how it is now; only lines that changed: over a slow link each one costs."""
        columns, rows = shutil.get_terminal_size()
        lines = [cut(clean(each), columns - 1) for each in self.lines(max(1, rows - 4))]
        if lines == self._shown:
            return
        up = f"\x1b[{len(self._shown)}A\r" if self._shown else ""
        same = self._shown + [""] * len(lines)
        text = "".join(
            "\n" if new == old and new else f"{new}\x1b[K\n"
            for new, old in zip(lines, same, strict=False)
        )
        self._write(up + text + "\x1b[J")
        self._shown = lines

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def _tell(self) -> None:
        for node, text in self.news():
            if self._told.get(node) != text:
                self._told[node] = text
                say(f"{node}: {text}")
