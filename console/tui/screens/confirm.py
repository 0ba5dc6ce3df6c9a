"""Asks before something is changed. Cancel has the focus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget
from textual.widgets import Input

from console.tui.ports import Context
from console.tui.screens.dialog import Dialog
from console.tui.widgets.bars import Bar
from console.tui.widgets.page import BLANK, Entry


class ConfirmScreen(Dialog[bool]):
    """True only for the other choice than Cancel; with `typed`, only once that was typed."""

    def __init__(
        self,
        context: Context,
        entries: Iterable[Entry],
        *,
        title: str,
        choice: str,
        typed: str | None = None,
        danger: bool = True,
        keep: str = "Cancel",
    ) -> None:
        """`keep` is what the other choice is called, which has the focus."""
        entries = list(entries)
        if typed is not None:
            entries += [BLANK, Entry("", f"Type {typed} to go on:", "accent")]
        super().__init__(context, entries, title=title, danger=danger)
        self.choice = choice
        self.keep = keep
        self.typed = typed
        self.on_choice = False
        self._bar = Bar(context.look)
        self._input = Input(compact=True) if typed is not None else None
        if self._input is not None:
            self._input.cursor_blink = False
            self._input.styles.height = 1

    def below(self) -> Sequence[Widget]:
        return [self._input, self._bar] if self._input is not None else [self._bar]

    def arrive(self) -> None:
        super().arrive()
        self._show_choices()
        if self._input is not None:
            self._input.focus()

    def _show_choices(self) -> None:
        cancel, go = ("", "cursor") if self.on_choice else ("cursor", "")
        sign = self.context.look.glyphs.cursor
        self._bar.show(
            [
                (f" {' ' if self.on_choice else sign}[ {self.keep} ]", cancel),
                (f"  {sign if self.on_choice else ' '}[ {self.choice} ]", go),
                (f"   {self._how()}", "dim"),
            ],
            [(" PgDn: more ", "warn")] if self._has_more() else [],
        )

    def _has_more(self) -> bool:
        """Whether the end of the text is out of sight."""
        page = self.page
        return 0 < page.size.height < page.line_count - page.top

    def on_page_moved(self) -> None:
        self._show_choices()

    def _how(self) -> str:
        """Said here too: on a low terminal the end of the text is out of sight."""
        return "Tab, then Enter" if self.typed is None else f"type {self.typed}; Esc cancels"

    def take_key(self, key: str) -> bool:
        if key in {"tab", "shift+tab", "left", "right"}:
            self.on_choice = not self.on_choice
            self._show_choices()
        elif key == "enter":
            self._take()
        else:
            return super().take_key(key)
        return True

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._take()

    def _take(self) -> None:
        if not self.on_choice and (self._input is None or not self._input.value):
            self.dismiss(result=False)
        elif self._input is None or self._input.value == self.typed:
            # Having typed the name is the choice.
            self.dismiss(result=True)
        else:
            self._bar.show([(f" That is not {self.typed}. Esc cancels.", "warn")])

    def cancel(self) -> None:
        self.dismiss(result=False)
