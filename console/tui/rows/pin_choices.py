"""What a container can be put on, as rows to choose from."""

from __future__ import annotations

from collections.abc import Iterator

from agent.protocol.live import LiveContainer
from agent.rules.placement import LEAST_BUSY, LEAST_MEMORY
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.placed import Placed
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.containers import containers_unknown
from console.tui.rows.places import Place, places, select_of

COLUMNS = (
    Column("place", "GPU", (15, 20, 24, 30)),
    Column("load", "UTIL", (4, 4, 5, 5), "right"),
    Column("memory", "MEM", (5, 11, 12, 12), "right"),
    Column("reserved", "RSVD", (5, 5, 6, 6), "right"),
    Column("guests", "WHO IS ON IT", (14, 18, 30, 40), grow=60),
)
# Instead of naming GPUs: the node chooses.
WAYS = (LEAST_MEMORY, LEAST_BUSY)


def gpu_choices(view: NodeView, placed: Placed, container: LiveContainer) -> Iterator[Row]:
    """A row's key is what a request selects by."""
    for way in WAYS:
        cells = (
            Cell(way, "accent"),
            *(Cell("") for _ in range(3)),
            Cell("the node chooses", "dim"),
        )
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
