"""The line at the bottom where commands, filters and file names are typed."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from console.tui.look.look import Look
from console.tui.widgets.bars import Bar
from console.tui.widgets.question import Question


class Line(Input):
    """Textual's input with history and completion; its cursor does not blink."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "cancel", show=False),
        Binding("up", "history(1)", show=False),
        Binding("down", "history(-1)", show=False),
        Binding("tab", "complete", show=False),
        Binding("ctrl+u", "clear", show=False),
    ]

    class Cancelled(Message):
        """Escape was pressed."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.text, compact=True, select_on_focus=False)
        self.question = question
        self.cursor_blink = False
        self._back = 0
        self._round: list[str] = []
        self._offered: str | None = None

    def action_cancel(self) -> None:
        self.post_message(self.Cancelled())

    def action_history(self, step: int) -> None:
        history = self.question.history
        self._back = max(0, min(self._back + step, len(history)))
        self.value = history[-self._back] if self._back else self.question.text
        self.cursor_position = len(self.value)

    def action_complete(self) -> None:
        """As far as it is sure; after that, one possibility after the other."""
        question = self.question
        if question.complete is None:
            return
        if self.value == self._offered and self._round:
            position = self._round.index(self.value) + 1
            self.value = self._round[position % len(self._round)]
        else:
            self._round = []
            completed = question.complete(self.value)
            if completed == self.value and question.choices is not None:
                self._round = question.choices(self.value)
                completed = next((c for c in self._round if c != completed), completed)
            self.value = completed
        self._offered = self.value
        self.cursor_position = len(self.value)

    def action_clear(self) -> None:
        self.value = ""


class Prompt(Horizontal):
    """Asks one Question, then it is to be removed by who asked."""

    DEFAULT_CSS = """
    Prompt { height: 1; width: 1fr; }
    Prompt Bar { width: auto; }
    Prompt Input { width: 1fr; height: 1; border: none; padding: 0; background: $background; }
    """

    def __init__(self, look: Look, question: Question) -> None:
        super().__init__()
        self.look = look
        self.question = question
        self._hint = Bar(look)
        self._hint.display = False

    def compose(self) -> ComposeResult:
        sign = Bar(self.look)
        sign.show([(self.question.sign, "key")])
        sign.styles.width = len(self.question.sign)
        yield sign
        yield Line(self.question)
        yield self._hint

    def on_mount(self) -> None:
        self.query_one(Line).focus()
        self._show_hint(self.question.text)

    def _show_hint(self, text: str) -> None:
        hint = "" if self.question.hint is None else self.question.hint(text)
        self._hint.display = bool(hint)
        self._hint.styles.width = min(len(hint) + 1, self.app.size.width // 2)
        self._hint.show([(hint, "dim")])

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_hint(event.value)
        if self.question.changed is not None:
            self.question.changed(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.question.done(event.value)

    def on_line_cancelled(self, event: Line.Cancelled) -> None:
        event.stop()
        self.question.done(None)
