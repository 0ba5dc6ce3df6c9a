"""Find an action or a view by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from console.tui.action import Action, Scope
from console.tui.actions import offered_on
from console.tui.commands import VIEWS
from console.tui.keys import key_words
from console.tui.ports import Context, Host
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.model import TableModel
from console.tui.views import VIEW_HELP
from console.tui.widgets.table import RowTable

_COLUMNS = (
    Column("label", "ACTION", (10, 12, 14, 16)),
    Column("key", "KEY", (11, 11, 12, 12)),
    Column("help", "WHAT IT DOES", (30, 36, 60, 60), grow=40),
)


def _is_called(row: Row, words: Sequence[str]) -> bool:
    """Whether its name and its key have words that begin with all of these."""
    own = f"{row.cells[0].text} {row.cells[1].text}".lower().split()
    return all(any(name.startswith(word) for name in own) for word in words)


def _view_row(view: str) -> Row:
    """A view; its key is what is typed for it."""
    about = VIEW_HELP[view]
    cells = (Cell(f"view {view}"), Cell(f":{view}", "key"), Cell(about.text, "dim"))
    return make_row(f":{view}", "", cells, more=" ".join(VIEWS[view]))


class PaletteScreen(ModalScreen[str | None], inherit_bindings=False):
    """Type to narrow, Enter does it; answers with the action's id, or `:` and a view."""

    DEFAULT_CSS = """
    PaletteScreen { align: center top; }
    PaletteScreen #palette {
        width: 90%; height: 80%; margin-top: 1; border: round $primary; background: $background;
    }
    PaletteScreen #palette.ascii { border: ascii $primary; }
    PaletteScreen Input { height: 1; border: none; padding: 0; background: $background; }
    """

    def __init__(self, context: Context, scope: Scope) -> None:
        super().__init__()
        self.context = context
        self.model = TableModel(_COLUMNS)
        self.table = RowTable(self.model, context.look, empty="no such action", keep_cursor=True)
        actions = [self._row(action) for action in offered_on(scope) if action.group != "Move"]
        taken = {"help", "theme", "refresh", "quit"}  # actions too
        views = [_view_row(view) for view in VIEW_HELP if view not in taken]
        self._rows = [*actions, *views]
        self.model.put("", self._rows)
        self._input = Input(placeholder="an action", compact=True)
        self._input.cursor_blink = False

    def _row(self, action: Action) -> Row:
        key = key_words(self.context.keymap.get(action.id, action.key))
        cells = (Cell(action.label), Cell(key, "key"), Cell(action.help, "dim"))
        return make_row(action.id, "", cells, more=action.id)

    def compose(self) -> ComposeResult:
        with Vertical(id="palette") as box:
            box.border_title = "Actions"
            box.set_class(self.context.look.glyphs.ascii, "ascii")
            yield self._input
            yield self.table

    def on_mount(self) -> None:
        self.table.bring_up_to_date(reorder=True)
        self._input.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        # Words in any order, each anywhere; what is called so comes first.
        words = event.value.lower().split()
        self.model.narrow("".join(f"(?=.*{re.escape(word)})" for word in words))
        self.model.put("", sorted(self._rows, key=lambda row: not _is_called(row, words)))
        self.table.bring_up_to_date(reorder=True)
        self.table.move_to(0)

    def on_input_submitted(self) -> None:
        row = self.table.current
        self.dismiss(row.key if row is not None else None)

    def on_row_table_chosen(self) -> None:
        self.on_input_submitted()

    def on_key(self, event: events.Key) -> None:
        steps = {"down": 1, "up": -1}
        if event.key == "escape":
            event.stop()
            self.dismiss(None)
        elif event.key == "ctrl+c":
            event.stop()
            cast("Host", self.app).do("quit")
        elif event.key in steps:
            event.stop()
            self.table.move_to(self.table.cursor + steps[event.key])
