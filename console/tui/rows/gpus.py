"""A GPU as a row: across the fleet, and on its node with the last ten minutes."""

from __future__ import annotations

from collections.abc import Callable

from agent.protocol.gpus import MigInstance
from agent.protocol.live import LiveGpu
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.look.glyphs import Glyphs
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.fleet import FULL_PERCENT, age_cell, heat_cell

COLUMNS = (
    Column("node", "NODE", (13, 13, 20, 24), grow=12),
    Column("index", "#", (2, 2, 2, 2), "right"),
    Column("gpus", "GPU", (10, 12, 20, 24)),
    Column("state", "STATE", (8, 8, 14, 14)),
    Column("utilization", "UTIL", (4, 4, 5, 5), "right", largest_first=True),
    Column("memory", "MEM", (4, 11, 12, 12), "right", largest_first=True),
    Column("temperature", "TEMP", (4, 4, 5, 5), "right", largest_first=True),
    Column("power", "POWER", (0, 5, 5, 5), "right", largest_first=True),
    Column("clock", "CLOCK", (0, 0, 7, 7), "right"),
    Column("age", "AGE", (3, 3, 3, 4), largest_first=True),
    Column("reason", "REASON", (0, 0, 12, 40), grow=60),
)

NODE_COLUMNS = (
    Column("index", "#", (2, 2, 2, 2), "right"),
    Column("gpus", "GPU", (10, 11, 20, 24)),
    Column("state", "STATE", (7, 7, 14, 14)),
    Column("utilization", "UTIL", (4, 4, 5, 5), "right", largest_first=True),
    Column("memory", "MEM", (4, 10, 12, 12), "right", largest_first=True),
    Column("temperature", "TEMP", (4, 4, 5, 5), "right", largest_first=True),
    Column("power", "POWER", (0, 5, 5, 5), "right", largest_first=True),
    Column("history", "UTILIZATION, 10 MIN", (12, 20, 24, 60), grow=40),
    Column("reason", "REASON", (0, 0, 0, 30), grow=30),
)


_REASONS = {"mig": "told of no GPU in MIG slices"}
_SHORT_UUID = 16  # "MIG-" and what tells slices apart


def gpu_rows(view: NodeView, glyphs: Glyphs) -> list[Row]:
    """For the table across the fleet."""
    dim = view.state != "live"
    name = view.name
    rows = []
    for gpu in view.gpus():
        cells = (
            Cell(name, sort=name, tag="PROD" if view.entry.production else ""),
            Cell(str(gpu.index), sort=gpu.index),
            _model(gpu),
            _state(gpu),
            *_figures(gpu, glyphs),
            Cell(f"{gpu.sm_clock_mhz}MHz" if gpu.sm_clock_mhz is not None else words.UNKNOWN),
            age_cell(view),
            Cell(why(gpu), "dim"),
        )
        rows.append(make_row(f"{name}/{gpu.index}", name, cells, dim=dim, loud=3))
    return rows


def node_gpu_rows(
    view: NodeView, glyphs: Glyphs, history: Callable[[str], str] = lambda _: ""
) -> list[Row]:
    """For the node's own screen; `history` gives a GPU's line by its UUID.

    A GPU in slices is followed by them; why it has no utilization stands in its line's place.
    """
    dim = view.state != "live"
    uuids = {record.get("index"): uuid for uuid, record in view.sections.get("gpus", {}).items()}
    slices = _slices(view)
    rows = []
    for gpu in view.gpus():
        uuid = uuids.get(gpu.index, "")
        why_not = gpu.unknown.get("utilization_percent")
        line = Cell(_reason(why_not), "dim") if why_not else Cell(history(uuid), "accent")
        cells = (
            Cell(str(gpu.index), sort=gpu.index),
            _model(gpu),
            _state(gpu),
            *_figures(gpu, glyphs),
            line,
            Cell(why(gpu), "dim"),
        )
        rows.append(make_row(str(gpu.index), view.name, cells, dim=dim, loud=2))
        parts = slices.get(uuid, [])
        rows += [_slice_row(view, f"{gpu.index}/{n}", part) for n, part in enumerate(parts)]
    return rows


def _slices(view: NodeView) -> dict[str, list[MigInstance]]:
    """MIG instances by their GPU's UUID."""
    facts = view.facts()
    return {} if facts is None else {gpu.uuid: gpu.mig_instances for gpu in facts.gpus}


def _slice_row(view: NodeView, key: str, part: MigInstance) -> Row:
    """What a slice is; NVML tells no utilization, heat or power of one."""
    unknown = Cell(words.UNKNOWN)
    cells = (
        Cell(""),
        Cell(part.profile or words.UNKNOWN),
        Cell("slice", "dim"),
        unknown,
        Cell(words.size(part.memory_total_bytes)),
        unknown,
        unknown,
        Cell(part.uuid[:_SHORT_UUID], "dim", wide=part.uuid),
        Cell(""),
    )
    return make_row(key, view.name, cells, dim=view.state != "live")


def _reason(reason: str) -> str:
    """Why a figure is missing, in words."""
    return _REASONS.get(reason, reason.replace("_", " "))


def why(gpu: LiveGpu) -> str:
    """Why a GPU is not well, what slows it down, and why figures are missing."""
    reasons = {_reason(reason) for reason in gpu.unknown.values() if reason}
    return words.join(
        [
            gpu.reason or "",
            f"slowed by {words.join(sorted(gpu.throttle))}" if gpu.throttle else "",
            f"unknown: {words.join(sorted(reasons))}" if reasons else "",
        ],
        "; ",
    ).replace("_", " ")


def _model(gpu: LiveGpu) -> Cell:
    short = words.gpu_model(gpu.name)
    return Cell(short, sort=short, wide=gpu.name.removeprefix("NVIDIA "))


def _state(gpu: LiveGpu) -> Cell:
    if gpu.state == "ok":
        return Cell("slowed", "warn", sort=1) if gpu.throttle else Cell("ok", "good", sort=2)
    return Cell(gpu.state.replace("_", " "), "bad", sort=0)


def _figures(gpu: LiveGpu, glyphs: Glyphs) -> tuple[Cell, Cell, Cell, Cell]:
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    full = 100 * used / total if used is not None and total else None
    return (
        Cell(words.percent(gpu.utilization_percent), sort=gpu.utilization_percent),
        Cell(
            words.percent(full),
            "warn" if full is not None and full >= FULL_PERCENT else "",
            sort=full,
            wide=words.share(used, total),
        ),
        heat_cell(gpu.temperature_celsius, glyphs),
        Cell(words.watts(gpu.power_watts), sort=gpu.power_watts),
    )
