"""Windows in which one row of a table is chosen; of files, after a path that is typed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.markup import escape
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from console.text import clean
from console.tui.archive_files import (
    FolderEntry,
    complete_path,
    list_folder,
    matching,
    split_path,
    whole_path,
)
from console.tui.beside import run_beside
from console.tui.look import words
from console.tui.ports import Context, Host
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.model import TableModel
from console.tui.widgets.bars import Bar
from console.tui.widgets.table import RowTable

Answer = TypeVar("Answer")

_FILE_COLUMNS = (
    Column("name", "FILE", (28, 44, 60, 80), grow=60),
    Column("size", "SIZE", (6, 6, 6, 6), "right"),
    Column("age", "AGE", (3, 3, 4, 4)),
)


class Choosing(ModalScreen[Answer | None], Generic[Answer], inherit_bindings=False):
    """A table in a frame. Escape answers None."""

    DEFAULT_CSS = """
    Choosing { align: center top; }
    Choosing #choosing {
        width: 90%; height: 90%; margin-top: 1; border: round $primary; background: $background;
    }
    Choosing #choosing.ascii { border: ascii $primary; }
    Choosing Input { height: 1; border: none; padding: 0; background: $background; }
    """

    def __init__(self, context: Context, columns: tuple[Column, ...], *, title: str) -> None:
        super().__init__()
        self.context = context
        self.model = TableModel(columns)
        self.table = RowTable(self.model, context.look, keep_cursor=True)
        self._title = title
        self._keys = Bar(context.look)
        self._keys.show([(text, tone) for text, tone in self.hints()])

    def hints(self) -> Sequence[tuple[str, str]]:
        """The keys, for the last line."""
        return [(" Enter", "key"), (" choose", ""), ("  Esc", "key"), (" cancel", "")]

    def above(self) -> Sequence[Widget]:
        """What stands over the table."""
        return []

    def below(self) -> Sequence[Widget]:
        """What stands between the table and the keys."""
        return []

    def compose(self) -> ComposeResult:
        with Vertical(id="choosing") as box:
            box.border_title = escape(clean(self._title))
            box.set_class(self.context.look.glyphs.ascii, "ascii")
            yield from self.above()
            yield self.table
            yield from self.below()
            yield self._keys

    def say(self, pieces: Sequence[tuple[str, str]]) -> None:
        """Something in the place of the keys."""
        self._keys.show(list(pieces))

    def choose(self) -> None:
        """Enter: answer with what the cursor is on."""
        raise NotImplementedError

    def on_row_table_chosen(self) -> None:
        self.choose()

    def on_key(self, event: events.Key) -> None:
        if self.take_key(event.key):
            event.stop()
            event.prevent_default()

    def take_key(self, key: str) -> bool:
        """Do what a key does here; False if it does nothing."""
        table = self.table
        steps = {"down": 1, "up": -1}
        if key == "escape":
            self.dismiss(None)
        elif key == "ctrl+c":
            cast("Host", self.app).do("quit")
        elif key == "enter":
            self.choose()
        elif key in steps:
            table.move_to(table.cursor + steps[key])
        elif key in {"pagedown", "pageup"}:
            table.page(1 if key == "pagedown" else -1)
        else:
            return False
        return True


class ChooseRow(Choosing[str]):
    """Answers with the key of a row."""

    def __init__(
        self, context: Context, columns: tuple[Column, ...], rows: Sequence[Row], *, title: str
    ) -> None:
        super().__init__(context, columns, title=title)
        self.model.put("", rows)

    def on_mount(self) -> None:
        self.table.bring_up_to_date(reorder=True)
        self.table.focus()

    def choose(self) -> None:
        row = self.table.current
        self.dismiss(row.key if row is not None else None)


class ChooseArchive(Choosing[Path]):
    """Answers with a file of this machine. `start` is the folder that is shown first."""

    def __init__(self, context: Context, start: str) -> None:
        super().__init__(context, _FILE_COLUMNS, title="Which archive?")
        self._input = Input(f"{start.rstrip('/')}/", compact=True, select_on_focus=False)
        self._input.cursor_blink = False
        self._folder: str | None = None
        self._entries: list[FolderEntry] = []

    def hints(self) -> Sequence[tuple[str, str]]:
        return [*super().hints(), ("  Tab", "key"), (" complete", "")]

    def above(self) -> Sequence[Widget]:
        return [self._input]

    def on_mount(self) -> None:
        self._input.focus()
        self._show()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.choose()

    def take_key(self, key: str) -> bool:
        if key == "tab":
            self._type(complete_path(self._input.value, self._entries))
            return True
        return super().take_key(key)

    def choose(self) -> None:
        """A file that was typed in full, else what the cursor is on."""
        run_beside(self, partial(self._choose, self._input.value, self.table.current))

    async def _choose(self, text: str, row: Row | None) -> None:
        folder, name = split_path(text)
        is_file = await asyncio.to_thread(_is_file, text)
        if name and is_file:
            self.dismiss(whole_path(text))
        elif row is None:
            self.table.say_when_empty("there is no such file: Esc leaves")
        elif row.key.endswith("/"):
            self._type(folder + row.key)
        else:
            self.dismiss(whole_path(folder + row.key))

    def _type(self, text: str) -> None:
        self._input.value = text
        self._input.cursor_position = len(text)

    def _show(self) -> None:
        folder, name = split_path(self._input.value)
        if folder != self._folder:
            self._folder, self._entries = folder, []
            run_beside(
                self,
                partial(self._list, folder),
                group="folder",
                exclusive=True,
                exit_on_error=True,
            )
        rows = [_file_row(entry) for entry in matching(self._entries, name)]
        self.model.put("", rows)
        self.table.bring_up_to_date(reorder=True)
        self.table.move_to(0)

    async def _list(self, folder: str) -> None:
        self.table.say_when_empty("reading the folder ...")
        try:
            # A share may take its time, or hang.
            self._entries = await asyncio.to_thread(list_folder, folder)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self.table.say_when_empty(f"{folder}: {why}")
            return
        self.table.say_when_empty("no archive and no folder of that name here")
        self._show()


def _is_file(text: str) -> bool:
    try:
        return whole_path(text).is_file()
    except (OSError, ValueError):
        return False


def _file_row(entry: FolderEntry) -> Row:
    if entry.is_folder:
        name = f"{entry.name}/"
        return make_row(name, "", (Cell(name, "accent"), Cell(""), Cell("")))
    age = words.age(max(0.0, time.time() - entry.modified_at))
    cells = (Cell(entry.name), Cell(words.size(entry.size_bytes)), Cell(age, "dim"))
    return make_row(entry.name, "", cells)
