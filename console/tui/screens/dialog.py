"""A window over a screen: text, and what can be chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.markup import escape
from textual.screen import ModalScreen
from textual.widget import Widget

from console.text import clean
from console.tui.action import Action
from console.tui.beside import run_beside
from console.tui.keys import key_words, keys_of
from console.tui.ports import Context, Host
from console.tui.widgets.bars import Bar
from console.tui.widgets.line import Piece
from console.tui.widgets.page import Entry, Page, wrap_entry

Answer = TypeVar("Answer")

_WIDEST = 76
_AROUND = 2  # the frame


class Dialog(ModalScreen[Answer], inherit_bindings=False):
    """As wide and high as its text needs; scrolls where the terminal is smaller."""

    DEFAULT_CSS = """
    Dialog #dialog { width: 60; height: auto; border: round $primary; background: $background; }
    Dialog #dialog.ascii { border: ascii $primary; }
    Dialog #dialog.danger { border: double $error; border-title-color: $error; }
    Dialog #dialog.danger.ascii { border: ascii $error; }
    """

    def __init__(
        self, context: Context, entries: Iterable[Entry], *, title: str, danger: bool = False
    ) -> None:
        super().__init__()
        self.context = context
        self.page = Page(context.look, entries)
        self._title = title
        self._danger = danger

    def below(self) -> Sequence[Widget]:
        """What stands under the text, each one line high."""
        return []

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = escape(clean(self._title))
            box.set_class(self.context.look.glyphs.ascii, "ascii")
            box.set_class(self._danger, "danger")
            yield self.page
            yield from self.below()

    def on_mount(self) -> None:
        self.arrive()

    def arrive(self) -> None:
        """The window has its widgets now."""
        self._fit()

    def on_resize(self, event: events.Resize) -> None:
        self._fit()

    def _fit(self) -> None:
        columns, rows = self.app.size
        width = min(_WIDEST, columns - 2)
        lines = sum(len(wrap_entry(e, width - _AROUND)) for e in self.page.entries)
        box = self.query_one("#dialog")
        box.styles.width = width
        self.page.styles.height = max(1, min(lines, rows - _AROUND - len(self.below()) - 1))

    def on_key(self, event: events.Key) -> None:
        if self.take_key(event.key):
            event.stop()
            event.prevent_default()

    def take_key(self, key: str) -> bool:
        """Do what a key does here; False if it does nothing."""
        page = self.page
        steps = {"down": 1, "j": 1, "up": -1, "k": -1}
        pages = {"pagedown": page.size.height, "pageup": -page.size.height}
        if key == "escape":
            self.cancel()
        elif key == "ctrl+c":
            cast("Host", self.app).do("quit")
        elif key in steps or key in pages:
            page.scroll_lines(steps.get(key) or pages[key])
        elif key in {"home", "g"}:
            page.scroll_lines(-page.line_count)
        elif key in {"end", "G"}:
            page.scroll_lines(page.line_count)
        else:
            return False
        return True

    def cancel(self) -> None:
        """Escape: close without an answer."""
        self.dismiss()


class TextDialog(Dialog[Action]):
    """Text to read and copy. Answers an action of `actions` whose key was pressed, else None."""

    def __init__(
        self,
        context: Context,
        entries: Iterable[Entry],
        *,
        title: str,
        actions: Sequence[Action] = (),
    ) -> None:
        super().__init__(context, entries, title=title)
        self._actions = keys_of(actions, context.keymap)
        self._bar = Bar(context.look)
        self._keys: list[Piece] = [
            (" Enter", "key"),
            (" close", ""),
            ("  c", "key"),
            (" copy", ""),
        ]
        for each in actions:
            key = key_words(context.keymap.get(each.id, each.key))
            self._keys += [(f"  {key}", "key"), (f" {each.label}", "")]
        self._bar.show(self._keys)
        self._said = ""

    def below(self) -> Sequence[Widget]:
        return [self._bar]

    def on_page_moved(self) -> None:
        """Say that there is more than can be seen."""
        page = self.page
        last = page.top + page.size.height
        more = page.line_count > page.size.height > 0
        where = f"{page.top + 1}-{last} of {page.line_count} " if more else ""
        self._bar.show([*self._keys, (self._said, "dim")], [(where, "dim")])

    async def _copy(self) -> None:
        from console.tui.clipboard import copy_text

        self._said = f"  {await copy_text(self.app, self.page.text)}"
        self.on_page_moved()

    def take_key(self, key: str) -> bool:
        if key in {"enter", "q", "question_mark"}:
            self.dismiss()
        elif key in self._actions:
            self.dismiss(self._actions[key])
        elif key == "c":
            run_beside(self, self._copy)
        else:
            return super().take_key(key)
        return True
