"""Which GPUs a container shall have: those of its node, with load, memory and who is on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from textual.widget import Widget

from agent.protocol.live import LiveContainer
from agent.protocol.workloads import GpuRequest
from agent.rules.placement import LEAST_BUSY, LEAST_MEMORY
from console.fleet.picture import NodeView
from console.images.rate import parse_bytes
from console.tui.look import words
from console.tui.placed import Placed
from console.tui.ports import Context
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.containers import containers_unknown, gpu_words
from console.tui.rows.places import Place, places, select_of
from console.tui.screens.choosing import Choosing
from console.tui.widgets.fields import AmountField, SwitchField

_COLUMNS = (
    Column("place", "GPU", (15, 20, 24, 30)),
    Column("load", "UTIL", (4, 4, 5, 5), "right"),
    Column("memory", "MEM", (5, 11, 12, 12), "right"),
    Column("reserved", "RSVD", (5, 5, 6, 6), "right"),
    Column("guests", "WHO IS ON IT", (14, 18, 30, 40), grow=60),
)
_WAYS = {
    LEAST_MEMORY: "the node chooses",
    LEAST_BUSY: "the node chooses",
}


class PinDialog(Choosing[GpuRequest]):
    """Answers with what is to be asked of the node. Nothing changes."""

    def __init__(self, context: Context, view: NodeView, container: LiveContainer) -> None:
        status = context.placed.status(view.name, container.name)
        # What it was given its GPUs with goes on, unless it is said otherwise here.
        self._terms = GpuRequest(select="") if status is None or status.gpu is None else status.gpu
        # One that has two GPUs gets two again, where it is not said which.
        self._count = len(container.gpus) if "all" not in container.gpus else 1
        super().__init__(context, _COLUMNS, title=_title(view, container))
        rows = gpu_choices(view, context.placed, container, max(1, self._count))
        self.model.put("", rows)
        look = context.look
        alone = "nothing else that Roost places may be on it"
        self.exclusive = SwitchField(look, "exclusive", alone, on=self._terms.exclusive)
        first = self._terms.memory_bytes or None
        self.memory = AmountField(look, "memory", parse_bytes, _reserved, first)
        self._stops: list[Widget] = [self.table, self.exclusive, self.memory.input]
        self._at = 0

    def hints(self) -> Sequence[tuple[str, str]]:
        return [
            *((" Enter", "key"), (" what would happen", "")),
            *(("  Space", "key"), (" several", "")),
            *(("  Tab", "key"), (" next", "")),
            *(("  Esc", "key"), (" cancel", "")),
        ]

    def below(self) -> Sequence[Widget]:
        return [self.exclusive, self.memory]

    def on_mount(self) -> None:
        self.table.bring_up_to_date(reorder=True)
        self.table.focus()

    def take_key(self, key: str) -> bool:
        here = self._stops[self._at]
        if key in {"tab", "shift+tab"}:
            self._go(1 if key == "tab" else -1)
        elif here is self.exclusive and key in {"space", "enter"}:
            self.exclusive.on = not self.exclusive.on
            self.exclusive.draw()
        elif here is self.table and key == "space":
            self.table.toggle_mark()
        elif here is self.table and key in {"j", "k"}:
            self.table.move_to(self.table.cursor + (1 if key == "j" else -1))
        else:
            return super().take_key(key)
        return True

    def _go(self, steps: int) -> None:
        self._at = (self._at + steps) % len(self._stops)
        here = self._stops[self._at]
        self.exclusive.here = here is self.exclusive
        self.exclusive.draw()
        self.set_focus(None if here is self.exclusive else here)

    def on_input_submitted(self) -> None:
        self.choose()

    def choose(self) -> None:
        if self.memory.problem is not None:
            self._go(self._stops.index(self.memory.input) - self._at)
            return
        marked = [row.key for row in self.model.shown if row.key in self.model.marks]
        ways = [key for key in marked if key in _WAYS]
        if self.table.current is None or (ways and len(marked) > 1):
            self.say([(" Either GPUs, or one way to choose them. ", "warn")])
            return
        select = ",".join(marked) or self.table.current.key
        self.dismiss(
            msgspec.structs.replace(
                self._terms,
                select=select,
                count=max(1, self._count) if select in _WAYS else 1,
                exclusive=self.exclusive.on,
                memory_bytes=self.memory.value or None,
            )
        )


def gpu_choices(
    view: NodeView, placed: Placed, container: LiveContainer, count: int
) -> Iterator[Row]:
    """A row's key is what a request selects by; `count` GPUs where it does not name them."""
    for way, text in _WAYS.items():
        whole = text if count == 1 else f"{text} {count}"
        cells = (Cell(way, "accent"), Cell(""), Cell(""), Cell(""), Cell(whole, "dim"))
        yield make_row(way, "", cells)
    for place in places(view, placed):
        if place.can_take:
            yield _choice(view, place, container)


def _choice(view: NodeView, place: Place, container: LiveContainer) -> Row:
    gpu, reserved = place.gpu, place.reserved_bytes
    guests = [
        f"{guest.name} (now)" if guest.name == container.name else guest.name
        for guest in place.guests
        if guest.runs
    ]
    broken = gpu.state.replace("_", " ") if gpu is not None and gpu.state != "ok" else ""
    used = None if gpu is None else gpu.memory_used_bytes
    cells = (
        Cell(place.title if gpu is not None else f" {place.title}"),
        Cell(words.percent(None if gpu is None else gpu.utilization_percent)),
        Cell(words.size(used), wide=words.share(used, place.memory_total_bytes)),
        Cell(words.UNKNOWN if reserved is None else words.size(reserved) if reserved else "none"),
        Cell(broken or words.join(guests) or _nobody(view), "bad" if broken else ""),
    )
    return make_row(select_of(place), "", cells, dim=view.state != "live")


def _nobody(view: NodeView) -> str:
    """Memory may be in use by what nobody can name, too."""
    return "unknown" if containers_unknown(view) else "no container"


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
