"""Asks before archives are sent, and how: fast, much, which way, and whether images may go for it.

Cancel has the focus.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from textual.widget import Widget
from textual.widgets import Input

from console.images.quiet import parse_quiet
from console.images.rate import parse_bytes, parse_rate
from console.text import age
from console.tui.look import words
from console.tui.ports import Context
from console.tui.screens.dialog import Dialog
from console.tui.terms import Terms
from console.tui.widgets.bars import Bar
from console.tui.widgets.fields import AmountField, SwitchField, TypedField
from console.tui.widgets.page import Entry

Stop = TypedField[Any] | SwitchField | Input | str
"""Where Tab stops: a field, what has to be typed, or one of the two choices."""


class PushDialog(Dialog[Terms | None]):
    """Answers with the terms; None: do not push."""

    def __init__(
        self,
        context: Context,
        entries: Iterable[Entry],
        *,
        title: str,
        first: Terms,
        total_bytes: int,
        sites: str | None = None,
        room: str | None = None,
        only_with_room: bool = False,
        typed: str | None = None,
        danger: bool = False,
    ) -> None:
        """
        Args:
            first: what the fields hold at first.
            total_bytes: to all nodes, before compression.
            sites: what can be said of sending via site; None: no node has a site, or nobody there
                can pass layers on.
            room: which images are in the way; None: none. The switch for it is off at first.
            only_with_room: they are on every node.
            typed: what has to be typed to go on.
        """
        super().__init__(context, entries, title=title, danger=danger)
        self.typed = typed
        self._total, self._only_with_room = total_bytes, only_with_room
        look = context.look
        self.limit = AmountField(look, "limit", parse_rate, self._rate, first.bytes_per_second)
        self.budget = AmountField(look, "budget", parse_bytes, _budget, first.budget_bytes)
        self.quiet: TypedField[tuple[str, ...]] = TypedField(
            look, "quiet", _hours, _quiet, first.quiet or None, typed=" ".join
        )
        self._typed = (self.limit, self.budget, self.quiet)
        self.via_site = (
            SwitchField(look, "via site", sites, on=first.via_site) if sites is not None else None
        )
        self.make_room = (
            SwitchField(look, "make room", room, on=False) if room is not None else None
        )
        self._input: Input | None = None
        if typed is not None:
            self._input = Input(compact=True, placeholder=f" type {typed} to go on")
            self._input.cursor_blink = False
            self._input.styles.height = 1
        self._bar = Bar(look)
        fields: list[Stop] = [*self._typed, *self._switches()]
        self._stops = [*fields, "cancel", "push"] if self._input is None else [*fields, self._input]
        self._at = len(fields)

    def _switches(self) -> list[SwitchField]:
        return [switch for switch in (self.via_site, self.make_room) if switch is not None]

    def _rate(self, rate: int | None) -> str:
        if rate is None:
            return "to all nodes together: 2MB/s, 20Mbit/s"
        return f"{words.size(rate)}/s: {age(self._total / rate)} before compression"

    def below(self) -> Sequence[Widget]:
        typed = [self._input] if self._input is not None else []
        return [*self._typed, *self._switches(), *typed, self._bar]

    def arrive(self) -> None:
        super().arrive()
        self._go(0)

    # where Tab stops

    @property
    def _here(self) -> Stop:
        return self._stops[self._at]

    def _go(self, steps: int) -> None:
        self._at = (self._at + steps) % len(self._stops)
        here = self._here
        for switch in self._switches():
            switch.here = switch is here
            switch.draw()
        if isinstance(here, TypedField):
            here.input.focus()
        elif isinstance(here, Input):
            here.focus()
        else:
            self.set_focus(None)
        self._show_choices()

    def _show_choices(self) -> None:
        sign = self.context.look.glyphs.cursor
        pieces = []
        for name, text in (("cancel", "Cancel"), ("push", "Push")):
            here = self._here == name or (name == "cancel" and self._here is self._input)
            pieces.append((f" {sign if here else ' '}[ {text} ]", "cursor" if here else ""))
        how = "Tab: next" if self.typed is None else f"type {self.typed}; Tab: next; Esc cancels"
        self._bar.show([*pieces, (f"   {how}", "dim")])

    def take_key(self, key: str) -> bool:
        here = self._here
        if key in {"tab", "shift+tab"}:
            self._go(1 if key == "tab" else -1)
        elif isinstance(here, SwitchField) and key in {"space", "enter"}:
            here.turn()
        elif isinstance(here, str) and key in {"left", "right"}:
            self._go(1 if here == "cancel" else -1)
        elif here == "cancel" and key == "enter":
            self.cancel()
        elif here == "push" and key == "enter":
            self._push()
        else:
            return super().take_key(key)
        return True

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input is not self._input:
            self._go(1)
        elif not event.value:
            self.cancel()
        elif event.value == self.typed:
            # Having typed the name is the choice.
            self._push()
        else:
            self._bar.show([(f" That is not {self.typed}. Esc cancels.", "warn")])

    def _push(self) -> None:
        for field in self._typed:
            if field.problem is not None:
                self._go(self._stops.index(field) - self._at)
                self._bar.show([(f" {field.problem.detail}: {field.problem.hint}", "bad")])
                return
        if self.make_room is not None and self._only_with_room and not self.make_room.on:
            self._go(self._stops.index(self.make_room) - self._at)
            self._bar.show([(" There is no room unless these images may go: Space.", "bad")])
            return
        self.dismiss(
            Terms(
                bytes_per_second=self.limit.value,
                budget_bytes=self.budget.value,
                quiet=self.quiet.value or (),
                via_site=self.via_site is not None and self.via_site.on,
                make_room=self.make_room is not None and self.make_room.on,
            )
        )

    def cancel(self) -> None:
        self.dismiss(None)


def _hours(text: str) -> tuple[str, ...]:
    """As `--quiet` each. Raises ProblemError `console.usage`."""
    texts = tuple(text.replace(",", " ").split())
    parse_quiet(texts)
    return texts


def _quiet(hours: tuple[str, ...] | None) -> str:
    if hours is None:
        return "hours with nothing sent: 06:00-22:00, by each node's clock"
    return "nothing is sent then, by each node's clock"


def _budget(budget: int | None) -> str:
    if budget is None:
        return "to each node: 500MB"
    return f"{words.size(budget)} to each node, then its job waits for the rest"
