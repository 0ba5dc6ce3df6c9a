"""A Textual app with all that moves cells, to test and to measure the display with.

`python -m tests.console.tui.sample_app plain|ours|twin [--theme T] [--record FILE] [--tick S]`:
`plain` is stock Textual, `ours` writes cell differences, `twin` does too and records in FILE what
stock Textual would have written for the same updates. After F12 it waits until everything that was
asked for is on the screen and sends `marker(count)`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TextIO

from rich.console import RenderableType
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Footer, Input, Log, Static

from console.tui.display import CellDiffDisplay

COLUMNS = 8
ROWS = 50
CHANGES = 20
THEMES = ("ansi-dark", "textual-dark", "nord")
WORDS = (
    "", "ok", "busy", "98 %", "3m", "2\u00d7T4", "█▓░",
    "[b]bold[/]", "[red]failed[/]", "[u]under[/] [i]it[/]", "[link=https://example.org/a]link[/]",
    "世界", "日本語文字列", "한국어", "\uff46\uff55\uff4c\uff4c", "e\u0301te\u0301", "x\u0336y",
    "🚀", "👩\u200d🚀 up", "❤\ufe0f", "🇩🇪",
)  # fmt: skip
# What a screen still has to do.
_WAITING = (
    "_dirty_widgets", "_layout_required", "_scroll_required", "_repaint_required", "_callbacks",
)  # fmt: skip
# Function keys: an Input takes letters for itself.
ACTIONS = {
    "f1": "update",
    "f2": "update_all",
    "f3": "modal",
    "f4": "back",
    "f5": "screen",
    "f6": "log",
    "f7": "toast",
    "f8": "theme",
    "f9": "shell",
    "f10": "reset",
    "f11": "redraw",
    "f12": "settle",
    "ctrl+e": "update_nothing",
    "ctrl+t": "stop_ticking",
    "ctrl+z": "stop",
}


def marker(count: int) -> bytes:
    return f"\x1b]7777;{count}\x07".encode()


BINDINGS: list[BindingType] = [
    Binding(key, f"app.{name}", name, priority=True) for key, name in ACTIONS.items()
]


class Dialog(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS  # the app's do not reach a modal screen
    CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog Vertical { width: 60%; height: 8; border: round $primary; background: $panel; }
    """

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Stop 3 containers on 世界-7? 👩‍🚀")
            yield Input(placeholder="type the name")

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False


class LogScreen(Screen[None]):
    def compose(self) -> ComposeResult:
        yield Static("Logs of 日本", id="title")
        yield Log()
        yield Footer()


class SampleApp(App[None]):
    CSS = """
    DataTable { height: 1fr; }
    #title { height: 1; background: $primary; text-style: bold; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(self, theme: str, tick: float = 0.0, changes: int = CHANGES) -> None:
        super().__init__()
        self._first_theme = self.theme = theme
        self._tick = tick
        self._changes = changes
        self._random = random.Random(1)  # the same cells in every run
        self._settled = 0
        self._lines = 0
        self.animation_level = "none"

    def compose(self) -> ComposeResult:
        table: DataTable[str] = DataTable(cursor_type="row")
        yield table
        yield Footer()

    def on_mount(self) -> None:
        table = self._table()
        for column in range(COLUMNS):
            table.add_column(f"column{column}", width=7, key=str(column))
        for row in range(ROWS):
            table.add_row(*(f"{row}.{column}" for column in range(COLUMNS)), key=str(row))
        self._timer = self.set_interval(self._tick or 1, self.action_update, pause=not self._tick)

    def action_stop_ticking(self) -> None:
        self._timer.pause()

    def action_stop(self) -> None:
        """Ctrl+Z, as Textual does it: the process gets SIGTSTP."""
        self.action_suspend_process()

    def _table(self) -> DataTable[str]:
        return self.screen_stack[0].query_one(DataTable)

    def action_update(self) -> None:
        for _ in range(self._changes):
            self._change(self._random.randrange(ROWS), self._random.randrange(COLUMNS))

    def action_update_all(self) -> None:
        for row in range(ROWS):
            for column in range(COLUMNS):
                self._change(row, column)

    def action_update_nothing(self) -> None:
        """Set a cell to the value it has: stock Textual writes the whole table."""
        self._table().update_cell("0", "0", self._table().get_cell("0", "0"))

    def _change(self, row: int, column: int) -> None:
        # While it ticks, the values are those of a monitor.
        value = f"{self._random.randrange(100)} %" if self._tick else self._random.choice(WORDS)
        self._table().update_cell(str(row), str(column), value)

    async def action_modal(self) -> None:
        await self.push_screen(Dialog())

    async def action_back(self) -> None:
        if len(self.screen_stack) > 1:
            await self.pop_screen()

    async def action_screen(self) -> None:
        await self.push_screen(LogScreen())

    def action_log(self) -> None:
        self._lines += 1
        for log in self.screen.query(Log):
            log.write_line(f"{self._lines}: {self._random.choice(WORDS)} " * (self._lines % 9))

    def action_toast(self) -> None:
        self.notify("世界 was added", timeout=3600)

    def action_theme(self) -> None:
        self.theme = THEMES[(THEMES.index(self.theme) + 1) % len(THEMES)]

    def action_shell(self) -> None:
        with self.suspend():
            subprocess.run(["/bin/echo", "\x1b[31mfrom a shell\x1b[5;5Hhere"], check=True)

    async def action_reset(self) -> None:
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        self.clear_notifications()
        self.theme = self._first_theme

    def action_redraw(self) -> None:
        """Only cell differences can do it."""

    def action_settle(self) -> None:
        self.run_worker(self._settle(), exclusive=True)

    async def _settle(self) -> None:
        quiet = 0
        while quiet < 3:
            await asyncio.sleep(0.02)
            quiet = 0 if self._is_busy() else quiet + 1
        self._settled += 1
        self.mark(self._settled)

    def _is_busy(self) -> bool:
        queues: list[int] = [
            node._message_queue.qsize() for node in (self, *self.screen.walk_children())
        ]
        waiting = [getattr(self.screen, name) for name in _WAITING]
        columns, lines = os.get_terminal_size(0)
        resizing = self._resize_event is not None or self.size != Size(columns, lines)
        return any(queues + waiting) or resizing or self.is_behind()

    def is_behind(self) -> bool:
        return False

    def mark(self, count: int) -> None:
        assert self._driver is not None
        self._driver.write(marker(count).decode())


class PlainApp(SampleApp):
    """Stock Textual."""


class OurApp(SampleApp, CellDiffDisplay[None]):
    """Cell differences."""

    def action_redraw(self) -> None:
        self.redraw()

    def is_behind(self) -> bool:
        return self._retry is not None


class RecordingDriver:
    """Stands where the driver stands while stock Textual writes."""

    is_inline = is_headless = False

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write

    def flush(self) -> None:
        """Nothing waits."""


class TwinApp(OurApp):
    """Cell differences on the terminal, stock Textual's output in a file.

    The file's lines are `[columns, lines, text]` for a frame, and counts where `mark` was called.
    """

    def __init__(self, theme: str, tick: float, changes: int, record: TextIO) -> None:
        super().__init__(theme, tick, changes)
        self._record = record

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        driver = self._driver
        if driver is not None:
            self._driver = RecordingDriver(self._keep)  # type: ignore[assignment]  # all that is used
            try:
                App._display(self, screen, renderable)
            finally:
                self._driver = driver
        super()._display(screen, renderable)

    def _keep(self, text: str) -> None:
        json.dump([*self.size, text], self._record)
        self._record.write("\n")
        self._record.flush()

    def mark(self, count: int) -> None:
        json.dump(
            {"mark": count, "left_out": self.frames_left_out, "bytes": self.bytes_written},
            self._record,
        )
        self._record.write("\n")
        self._record.flush()
        super().mark(count)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["plain", "ours", "twin"])
    parser.add_argument("--theme", default="ansi-dark")
    parser.add_argument("--tick", type=float, default=0.0)
    parser.add_argument("--changes", type=int, default=CHANGES)
    parser.add_argument("--record", type=Path, default=Path(os.devnull))
    options = parser.parse_args()
    with options.record.open("w") as record:
        app: SampleApp
        settings = (options.theme, options.tick, options.changes)
        if options.kind == "twin":
            app = TwinApp(*settings, record)
        else:
            app = (OurApp if options.kind == "ours" else PlainApp)(*settings)
        app.run(mouse=False)


if __name__ == "__main__":
    main()
