"""What an engine's bench measured, as rows: latency over batch size is drawn as bars."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.engine_figures import BenchRow, EngineBench
from console.engines.words import milliseconds
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.look.glyphs import Glyphs
from console.tui.rows.cells import Cell, Column, Row, make_row

_NARROW, _WIDE = 16, 40

COLUMNS = (
    Column("best", "BEST", (4, 4, 4, 4)),
    Column("precision", "PRECISION", (9, 9, 9, 9)),
    Column("batch", "BATCH", (5, 5, 5, 5), "right"),
    Column("latency", "LATENCY", (0, _NARROW, _WIDE, _WIDE)),
    Column("p50", "P50", (8, 8, 8, 8), "right", largest_first=True),
    Column("p99", "P99", (8, 8, 8, 8), "right", largest_first=True),
    Column("throughput", "ITEMS/S", (7, 7, 7, 7), "right", largest_first=True),
    Column("memory", "GPU MEM", (0, 7, 7, 7), "right", largest_first=True),
    Column("size", "SIZE", (0, 0, 5, 5), "right", largest_first=True),
    Column("took", "BUILT IN", (0, 0, 8, 8), "right", largest_first=True),
    Column("reason", "WHY NOT", (0, 0, 0, 30), grow=80),
)


def bench_rows(view: NodeView, bench: EngineBench, glyphs: Glyphs) -> list[Row]:
    """A row for each precision and batch size; its key is "precision/batch"."""
    slowest = max((row.p99_ms or 0.0 for row in bench.rows), default=0.0)
    scale = max(slowest, bench.max_latency_ms or 0.0)
    return [
        _row(view, bench, row, best=number == bench.recommended, scale=scale, glyphs=glyphs)
        for number, row in enumerate(bench.rows)
    ]


def row_key(row: BenchRow) -> str:
    """ "fp16/8"."""
    return f"{row.precision}/{row.batch}"


def newest_bench(benches: Sequence[EngineBench], model: str) -> EngineBench | None:
    """Of that model."""
    found = [bench for bench in benches if bench.model == model]
    return max(found, key=lambda bench: bench.at, default=None)


def latency_bar(
    p50_ms: float | None,
    p99_ms: float | None,
    bound_ms: float | None,
    scale: float,
    glyphs: Glyphs,
    width: int,
) -> str:
    """The median as a bar, the 99th percentile as a thin one behind it, and where the bound is."""
    if p50_ms is None or scale <= 0:
        return ""
    full = max(1, round(width * p50_ms / scale))
    thin = max(full, round(width * (p99_ms or p50_ms) / scale))
    drawn = (glyphs.levels[-1] * full + glyphs.levels[0] * (thin - full)).ljust(width)[:width]
    if bound_ms is None:
        return drawn
    at = min(width - 1, round(width * bound_ms / scale))
    return f"{drawn[:at]}|{drawn[at + 1 :]}"


def _row(
    view: NodeView, bench: EngineBench, row: BenchRow, *, best: bool, scale: float, glyphs: Glyphs
) -> Row:
    bound = bench.max_latency_ms

    def drawn(width: int) -> str:
        return latency_bar(row.p50_ms, row.p99_ms, bound, scale=scale, glyphs=glyphs, width=width)

    slow = bound is not None and row.p99_ms is not None and row.p99_ms > bound
    cells = (
        Cell("best" if best else "", "good", sort=0 if best else 1),
        Cell(row.precision, sort=row.precision),
        Cell(str(row.batch), sort=row.batch),
        Cell(drawn(_NARROW), "warn" if slow else "accent", sort=row.p50_ms, wide=drawn(_WIDE)),
        _time(row.p50_ms),
        _time(row.p99_ms)._replace(tone="warn" if slow else ""),
        Cell(_number(row.throughput), sort=row.throughput),
        Cell(words.size(row.gpu_memory_bytes), sort=row.gpu_memory_bytes),
        Cell(words.size(row.plan_bytes), sort=row.plan_bytes),
        Cell(words.age(row.build_seconds), sort=row.build_seconds),
        Cell(row.reason or ("slower than the bound" if slow else ""), "warn"),
    )
    return make_row(row_key(row), view.name, cells, dim=view.state != "live")


def _time(value: float | None) -> Cell:
    return Cell(words.UNKNOWN if value is None else milliseconds(value), sort=value)


def _number(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.0f}"
