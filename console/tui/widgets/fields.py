"""Fields of windows that ask how something is to be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from agent.protocol.problems import ProblemError
from console.tui.look.look import Look
from console.tui.widgets.bars import Bar

_LABEL, _INPUT = 11, 12

T = TypeVar("T")


class TypedField(Horizontal, Generic[T]):
    """What is checked while it is typed; empty is none."""

    DEFAULT_CSS = f"""
    TypedField {{ height: 1; }}
    TypedField .label {{ width: {_LABEL}; }}
    TypedField Input {{
        width: {_INPUT}; height: 1; border: none; padding: 0; background: $background;
    }}
    """

    def __init__(
        self,
        look: Look,
        label: str,
        parse: Callable[[str], T],
        say: Callable[[T | None], str],
        first: T | None,
        *,
        typed: Callable[[T], str],
    ) -> None:
        """`say` tells in words what a value means; `typed`, how it is typed."""
        super().__init__()
        self._look = look
        self.value = first
        self.problem: ProblemError | None = None
        self.label = label
        text = "" if first is None else typed(first)
        self.input = Input(text, compact=True)
        self.input.cursor_blink = False
        self._parse, self._say = parse, say
        self._title, self._said = Bar(look), Bar(look)
        self._title.add_class("label")

    def compose(self) -> ComposeResult:
        yield self._title
        yield self.input
        yield self._said

    def on_mount(self) -> None:
        self.show()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        text = event.value.strip()
        self.value = self.problem = None
        if text:
            try:
                self.value = self._parse(text)
            except ProblemError as problem:
                self.problem = problem
        self.show()

    def show(self) -> None:
        """Label, and what the value means."""
        here = self.input.has_focus
        sign = self._look.glyphs.cursor if here else " "
        self._title.show([(f"{sign}{self.label:<{_LABEL - 2}}", "cursor" if here else "")])
        if self.problem is not None:
            self._said.show([(f" not that: {self.problem.hint}", "bad")])
        else:
            self._said.show([(f" {self._say(self.value)}", "dim" if self.value is None else "")])

    def on_descendant_focus(self) -> None:
        self.show()

    def on_descendant_blur(self) -> None:
        self.show()


class AmountField(TypedField[int]):
    """A number; of bytes, unless said."""

    def __init__(
        self,
        look: Look,
        label: str,
        parse: Callable[[str], int],
        say: Callable[[int | None], str],
        first: int | None,
        *,
        typed: Callable[[int], str] | None = None,
    ) -> None:
        super().__init__(look, label, parse, say, first, typed=typed or _exact)


class SwitchField(Bar):
    """Yes or no, by Space."""

    def __init__(self, look: Look, label: str, said: str, *, on: bool) -> None:
        super().__init__(look)
        self.label, self.on = label, on
        self._said = said
        self.here = False
        self.draw()

    def turn(self) -> None:
        """The other way round."""
        self.on = not self.on
        self.draw()

    def draw(self) -> None:
        """As it is now."""
        sign = self.look.glyphs.cursor if self.here else " "
        box = f"{sign}[{'x' if self.on else ' '}]"
        self.show(
            [
                (f" {self.label:<{_LABEL - 2}}", "key" if self.here else ""),
                (box, "cursor" if self.here else ""),
                (f" {self._said}", "" if self.on else "dim"),
            ]
        )


class ChoiceField(Bar):
    """One of several, by Space."""

    def __init__(self, look: Look, label: str, choices: Mapping[str, str]) -> None:
        """`choices` are words to what they mean; the first one at first."""
        super().__init__(look)
        self.label, self.here = label, False
        self._choices = choices
        self.value = next(iter(choices))
        self.draw()

    def turn(self) -> None:
        """The next one."""
        values = list(self._choices)
        self.value = values[(values.index(self.value) + 1) % len(values)]
        self.draw()

    def draw(self) -> None:
        """As it is now."""
        sign = self.look.glyphs.cursor if self.here else " "
        first = self.value == next(iter(self._choices))
        self.show(
            [
                (f" {self.label:<{_LABEL - 2}}", "key" if self.here else ""),
                (f"{sign}[{self.value}]", "cursor" if self.here else ""),
                (f" {self._choices[self.value]}", "dim" if first else ""),
            ]
        )


def _exact(count: int) -> str:
    """Bytes as they are typed, none lost: "6GiB", "2000000B"."""
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2)):
        if count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}B"
