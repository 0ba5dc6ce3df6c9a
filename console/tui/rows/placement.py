"""GPUs as rows, and below each one the containers that are on it."""

from __future__ import annotations

from typing import NamedTuple

from agent.protocol.deployments import WorkloadStatus
from console.fleet.picture import NodeView
from console.text import plural
from console.tui.look import words
from console.tui.placed import Placed
from console.tui.rows.cells import Cell, Column, Row, make_row, plain
from console.tui.rows.containers import state_cell
from console.tui.rows.fleet import FULL_PERCENT, age_cell
from console.tui.rows.gpus import why
from console.tui.rows.node import processes_unknown
from console.tui.rows.places import Guest, Place, places
from console.tui.rows.workloads import differences

COLUMNS = (
    Column("node", "NODE", (10, 12, 18, 24), grow=4),
    Column("place", "GPU, WHO IS ON IT", (18, 21, 30, 36), grow=24),
    Column("state", "STATE", (8, 9, 12, 14)),
    Column("utilization", "UTIL", (4, 4, 5, 5), "right", largest_first=True),
    Column("memory", "MEM", (5, 11, 12, 12), "right", largest_first=True),
    Column("reserved", "RSVD", (5, 5, 6, 6), "right", largest_first=True),
    Column("age", "AGE", (3, 3, 3, 4), largest_first=True),
    Column("about", "ABOUT", (0, 0, 14, 40), grow=60),
)
_LOUD = 6
_INDENT = "  "


class Carried(NamedTuple):
    """A container that was picked up from `source` and is held over `target` (UUIDs)."""

    node: str
    container: str
    name: str
    source: str
    target: str


class Found(NamedTuple):
    """What a row is about; `guest` None: the GPU itself."""

    place: Place
    guest: Guest | None


def placement_rows(view: NodeView, placed: Placed, carried: Carried | None = None) -> list[Row]:
    """A GPU's row has the key "node/uuid", a container's "node/uuid/container id".

    Rows of containers sort as their GPU's, so that they stay below it.
    """
    found = places(view, placed)
    if not found:
        return _away(view)
    rows: list[Row] = []
    for place in found:
        head = _place_row(view, place)
        rows.append(head)
        guests = [guest for guest in place.guests if not _is_carried(view, place, guest, carried)]
        rows += [_guest_row(view, placed, place, guest, head) for guest in guests]
        if carried is not None and carried.node == view.name and carried.target == place.uuid:
            rows.append(_carried_row(view, found, carried, head))
    return rows


def found_at(view: NodeView, placed: Placed, key: str) -> Found | None:
    """What the row with this key is about, if it is still there."""
    uuid, _, container = key.removeprefix(f"{view.name}/").partition("/")
    place = next((each for each in places(view, placed) if each.uuid == uuid), None)
    if place is None:
        return None
    guest = next((each for each in place.guests if _id_of(each) == container), None)
    return Found(place, guest)


def _id_of(guest: Guest) -> str | None:
    return None if guest.container is None else guest.container.id


def carried_key(carried: Carried) -> str:
    """The key of its row, over whichever GPU it is."""
    return f"{carried.node}//{carried.container}"


def _is_carried(view: NodeView, place: Place, guest: Guest, carried: Carried | None) -> bool:
    return (
        carried is not None
        and carried.node == view.name
        and (place.uuid, _id_of(guest)) == (carried.source, carried.container)
    )


def _place_row(view: NodeView, place: Place) -> Row:
    gpu, name = place.gpu, view.name
    used = None if gpu is None else gpu.memory_used_bytes
    total = place.memory_total_bytes
    full = 100 * used / total if used is not None and total else None
    load = None if gpu is None else gpu.utilization_percent
    state, about = _state(place)
    cells = (
        Cell(name, sort=name, tag="PROD" if view.entry.production else ""),
        Cell(f"{'' if gpu is not None else _INDENT}{place.title}", "accent"),
        state,
        Cell(words.percent(load), sort=load),
        Cell(
            words.percent(full) if gpu is not None else words.size(total),
            "warn" if full is not None and full >= FULL_PERCENT else "",
            sort=full,
            wide=words.share(used, total),
        ),
        _reserved(place),
        age_cell(view),
        Cell(about, "dim"),
    )
    guests = " ".join(guest.name for guest in place.guests)
    dim = view.state != "live"
    return make_row(f"{name}/{place.uuid}", name, cells, dim=dim, loud=_LOUD, more=guests)


def _state(place: Place) -> tuple[Cell, str]:
    if not place.is_there:
        return Cell("not there", "bad", sort=-1), "no GPU of this node, but asked for"
    if place.gpu is None:
        return Cell("slice", "dim", sort=3), "NVML tells no figures of a slice"
    if place.gpu.state != "ok":
        return Cell(place.gpu.state.replace("_", " "), "bad", sort=0), why(place.gpu)
    if place.split:
        return Cell("in slices", "dim", sort=3), why(place.gpu)
    if place.gpu.throttle:
        return Cell("slowed", "warn", sort=1), why(place.gpu)
    return Cell("ok", "good", sort=2), why(place.gpu)


def _reserved(place: Place) -> Cell:
    count = place.reserved_bytes
    if count is None or not place.is_there:
        return Cell(words.UNKNOWN, sort=None)
    total = place.memory_total_bytes
    return Cell(
        words.size(count) if count else "none",
        "warn" if total is not None and count > total else "" if count else "dim",
        sort=count,
    )


def _guest_row(view: NodeView, placed: Placed, place: Place, guest: Guest, head: Row) -> Row:
    container, dim = guest.container, view.state != "live"
    status = _status_of(view, placed, guest)
    if container is None:
        state, about = Cell(""), f"{plural(guest.processes, 'program')} outside containers"
    elif guest.is_kept:
        state, about = Cell("kept", "dim"), "ran here before; an undo brings it back"
    else:
        state, about = state_cell(container), _about(view, guest, status)
    reserved = "" if view.name in placed.said else words.UNKNOWN
    if status is not None and status.memory_bytes and place.uuid in status.gpus:
        reserved = words.size(status.memory_bytes)
    cells = (
        Cell(view.name, "dim"),
        Cell(f"{_INDENT * 2}{guest.name}", "" if guest.runs else "dim"),
        state,
        Cell(""),
        Cell(words.size(guest.memory_bytes)),
        Cell(reserved),
        Cell(""),
        Cell(about, "dim"),
    )
    key = f"{head.key}/{container.id if container is not None else ''}"
    return _below(head, key, cells, dim=dim)


def _status_of(view: NodeView, placed: Placed, guest: Guest) -> WorkloadStatus | None:
    if guest.container is None:
        return None
    statuses = placed.of(view.name)
    return next((each for each in statuses if each.container == guest.container.id), None)


def _about(view: NodeView, guest: Guest, status: WorkloadStatus | None) -> str:
    container = guest.container
    parts = []
    if status is not None:
        drift = differences(view, status)
        parts = [
            status.release,
            "can be undone" if status.can_undo else "",
            f"differs: {words.join(drift, '; ')}" if drift else "",
        ]
    if container is not None and "all" in container.gpus:
        parts.append("asked for all GPUs")
    elif container is not None and not container.gpus:
        parts.append("asked for no GPU")
    return words.join(parts)


def _carried_row(view: NodeView, found: list[Place], carried: Carried, head: Row) -> Row:
    source = next((each.title for each in found if each.uuid == carried.source), words.UNKNOWN)
    where = "from here" if carried.source == carried.target else f"from {source}"
    cells = (
        Cell(view.name, "dim"),
        Cell(f"{_INDENT * 2}{carried.name}", "warn"),
        Cell("moving", "warn"),
        *(Cell("") for _ in range(4)),
        Cell(where, "warn"),
    )
    return _below(head, carried_key(carried), cells, dim=False)


def _below(head: Row, key: str, cells: tuple[Cell, ...], *, dim: bool) -> Row:
    """A row that sorts as the one of its GPU, and is found by what that one says too."""
    sorted_as = tuple(
        cell._replace(sort=above.sort) for cell, above in zip(cells, head.cells, strict=True)
    )
    find = " ".join(
        [*(plain(cell) for cell in head.cells[:3]), *(plain(cell) for cell in cells[1:])]
    )
    return make_row(key, head.group, sorted_as, dim=dim, loud=_LOUD, find=find)


def _away(view: NodeView) -> list[Row]:
    """In the place of GPUs that nobody can tell of; nothing for a node that has none."""
    reason = processes_unknown(view)
    if not reason:
        return []
    cells = (
        Cell(view.name, sort=view.name, tag="PROD" if view.entry.production else ""),
        Cell(reason, "warn"),
        Cell("unknown", "bad", sort=-1),
        *(Cell(words.UNKNOWN) for _ in range(3)),
        age_cell(view),
        Cell(""),
    )
    return [make_row(f"{view.name}/", view.name, cells, dim=view.state != "live", loud=_LOUD)]
