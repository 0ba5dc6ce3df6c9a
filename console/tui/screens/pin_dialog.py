"""Which GPUs a container shall have, and how it gets there: what `roost container pin` offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
from textual import events
from textual.widget import Widget

from agent.protocol.deployments import CONFIRM_WITHIN_SECONDS, DeployOptions, PinRequest
from agent.protocol.live import LiveContainer
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuRequest, Strategy
from console.fleet.lease import parse_lease
from console.fleet.picture import NodeView
from console.images.rate import parse_bytes
from console.tui.look import words
from console.tui.ports import Context
from console.tui.rows.containers import gpu_words
from console.tui.rows.pin_choices import COLUMNS, WAYS, gpu_choices
from console.tui.screens.choosing import Choosing
from console.tui.widgets.fields import AmountField, ChoiceField, SwitchField

_CHOSEN = "auto"
_STRATEGIES = {
    _CHOSEN: "the node chooses: ports, volumes, memory",
    "stop-then-start": "the old one stops first: down meanwhile",
    "start-then-stop": "the new one starts beside the old one",
}
_CONFIRMS = {
    "auto": "it stays once it was well for long enough",
    "manual": "it goes back by itself unless confirmed",
}
_MOST = 64
# Rows of the terminal under which only the field is shown that is being changed.
_LOW = 20


class PinDialog(Choosing[PinRequest]):
    """Answers with what is to be asked of the node. Nothing changes."""

    def __init__(self, context: Context, view: NodeView, container: LiveContainer) -> None:
        status = context.placed.status(view.name, container.name)
        # What it was given its GPUs with goes on, unless it is said otherwise here.
        self._terms = GpuRequest(select="") if status is None or status.gpu is None else status.gpu
        super().__init__(context, COLUMNS, title=_title(view, container))
        self.model.put("", gpu_choices(view, context.placed, container))
        look, terms = context.look, self._terms
        alone = "nothing else that Roost places may be on it"
        seen = "fail where nobody can look from inside"
        # One that has two GPUs gets two again, where it is not said which.
        count = max(1, len(container.gpus) if "all" not in container.gpus else 1)
        self.exclusive = SwitchField(look, "exclusive", alone, on=terms.exclusive)
        self.memory = AmountField(
            look, "memory", parse_bytes, _reserved, terms.memory_bytes or None
        )
        self.count = AmountField(look, "count", _count, _how_many, count, typed=str)
        self.strategy = ChoiceField(look, "strategy", _STRATEGIES)
        self.verify = SwitchField(look, "verify", seen, on=terms.verify == "required")
        self.confirm = ChoiceField(look, "confirm", _CONFIRMS)
        first = int(CONFIRM_WITHIN_SECONDS)
        self.within = AmountField(look, "within", _lease, _waits, first, typed=words.age)
        self._at = 0

    def hints(self) -> Sequence[tuple[str, str]]:
        return [
            *((" Enter", "key"), (" what would happen", "")),
            *(("  Space", "key"), (" mark, change", "")),
            *(("  Tab", "key"), (" next", "")),
            *(("  Esc", "key"), (" cancel", "")),
        ]

    def below(self) -> Sequence[Widget]:
        fields = (self.exclusive, self.memory, self.count, self.strategy)
        return [*fields, self.verify, self.confirm, self.within]

    def on_mount(self) -> None:
        self.table.bring_up_to_date(reorder=True)
        self._go(0)

    def on_resize(self, event: events.Resize) -> None:
        self._show_fields()

    # where Tab stops

    def _stops(self) -> list[Widget]:
        """The table first; how long it waits only where it waits."""
        waits = self.confirm.value == "manual"
        return [self.table, *(each for each in self.below() if waits or each is not self.within)]

    def _go(self, steps: int) -> None:
        stops = self._stops()
        self._at = (self._at + steps) % len(stops)
        here = stops[self._at]
        for field in (self.exclusive, self.strategy, self.verify, self.confirm):
            field.here = field is here
            field.draw()
        self._show_fields()
        if isinstance(here, AmountField):
            here.input.focus()
        else:
            self.set_focus(here if here is self.table else None)

    def _show_fields(self) -> None:
        stops = self._stops()
        here = stops[max(1, self._at)]
        low = self.app.size.height < _LOW
        for field in self.below():
            field.display = field is here if low else field in stops

    def take_key(self, key: str) -> bool:
        here = self._stops()[self._at]
        if key in {"tab", "shift+tab"}:
            self._go(1 if key == "tab" else -1)
        elif isinstance(here, SwitchField | ChoiceField) and key == "space":
            here.turn()
            self._show_fields()
        elif here is self.table and key == "space":
            self.table.toggle_mark()
        elif here is self.table and key in {"j", "k"}:
            self.table.move_to(self.table.cursor + (1 if key == "j" else -1))
        else:
            return super().take_key(key)
        return True

    def on_input_submitted(self) -> None:
        self.choose()

    def choose(self) -> None:
        stops = self._stops()
        for field in (self.memory, self.count, self.within):
            if field in stops and field.problem is not None:
                self._go(stops.index(field) - self._at)
                return
        marked = [row.key for row in self.model.shown if row.key in self.model.marks]
        if self.table.current is None or (len(marked) > 1 and not set(marked).isdisjoint(WAYS)):
            self.say([(" Either GPUs, or one way to choose them. ", "warn")])
            return
        select = ",".join(marked) or self.table.current.key
        self.dismiss(self._request(select))

    def _request(self, select: str) -> PinRequest:
        gpu = msgspec.structs.replace(
            self._terms,
            select=select,
            count=(self.count.value or 1) if select in WAYS else 1,
            exclusive=self.exclusive.on,
            memory_bytes=self.memory.value or None,
            verify="required" if self.verify.on else "if-possible",
        )
        strategy = self.strategy.value
        options = DeployOptions()
        if self.confirm.value == "manual":
            within = float(self.within.value or CONFIRM_WITHIN_SECONDS)
            options = DeployOptions(confirm="manual", confirm_within=within)
        return PinRequest(
            gpu=gpu,
            strategy=None if strategy == _CHOSEN else cast("Strategy", strategy),
            options=options,
        )


def _title(view: NodeView, container: LiveContainer) -> str:
    now = gpu_words(container, view)
    where = f"now on GPU {now}" if now else "now on no GPU"
    title = f"Pin {container.name} on {view.name}, {where}"
    if view.state != "live":
        title += f" ({view.state}: {words.age(view.age_seconds())} old)"
    return f"PRODUCTION: {title}" if view.entry.production else title


def _reserved(size: int | None) -> str:
    if size is None:
        return "to reserve on each GPU: 6GiB"
    return f"{words.size(size)} reserved on each GPU"


def _count(text: str) -> int:
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(_MOST))
    if not digits or not 1 <= int(text) <= _MOST:
        raise ProblemError(
            "console.usage", f"that is no number from 1 to {_MOST}", hint=f"From 1 to {_MOST}."
        )
    return int(text)


def _how_many(count: int | None) -> str:
    return f"{'one' if count in (None, 1) else count}, where the node chooses"


def _lease(text: str) -> int:
    return int(parse_lease(text))


def _waits(seconds: int | None) -> str:
    left = words.age(CONFIRM_WITHIN_SECONDS if seconds is None else seconds)
    return f"how long it waits for your word: {left}"
