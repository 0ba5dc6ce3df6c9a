"""Runs the sample app in a pseudo-terminal beside what stock Textual would have shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.console.tui.sample_app import marker
from tests.emulator import Emulator, differences
from tests.terminal import Terminal

# Generous: the machine may be busy, and no test measures time.
SETTLE_SECONDS = 30.0


def sample_app(kind: str, *options: str | Path) -> list[str | Path]:
    """The command that runs the sample app."""
    return [sys.executable, "-m", "tests.console.tui.sample_app", kind, *options]


def assert_equal(ours: Emulator, stock: Emulator, step: object) -> None:
    """Fail with the first cells that differ and both screens."""
    found = differences(ours, stock)
    if found:
        screens = "\n".join([*ours.lines_of_text(), "--- stock Textual:", *stock.lines_of_text()])
        cells = "\n".join(found[:4])
        raise AssertionError(f"after {step} {len(found)} cells differ:\n{cells}\n{screens}")


class Settling:
    """Steps through a sample app: types keys and waits until their effects are shown."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.steps = 0

    def step(self, *keys: str) -> int:
        """Type `keys`, wait until the screen is settled, return how many bytes that wrote."""
        self.steps += 1
        end = marker(self.steps)
        start = len(self.terminal.output)
        self.terminal.press(*keys, "f12")
        return self.terminal.wait_for_bytes(end, SETTLE_SECONDS, start) - start - len(end)

    def resize(self, columns: int, lines: int) -> int:
        self.terminal.resize(columns, lines)
        return self.step()


class Twin(Settling):
    """Compares after every step; the record is that of the sample app's `twin`."""

    def __init__(self, terminal: Terminal, record: Path) -> None:
        super().__init__(terminal)
        self.stock = Emulator(terminal.emulator.columns, terminal.emulator.lines)
        self.mark: dict[str, Any] = {}
        """What the app said at the last step: frames left out, bytes written."""
        self.stock_bytes = 0
        self._record = record
        self._read = 0

    def step(self, *keys: str) -> int:
        written = super().step(*keys)
        self._catch_up()
        assert_equal(self.terminal.emulator, self.stock, keys)
        return written

    def _catch_up(self) -> None:
        lines = self._record.read_text().splitlines()
        while self.mark.get("mark") != self.steps:
            entry = json.loads(lines[self._read])
            self._read += 1
            if isinstance(entry, dict):
                self.mark = entry
                continue
            columns, height, text = entry
            self.stock.resize(height, columns)
            self.stock.feed(text)
            self.stock_bytes += len(text.encode())
