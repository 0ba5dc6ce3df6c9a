"""What an engine's bench measured, as rows: latency over batch size is drawn as bars."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.engine_figures import BenchRow, EngineBench, GraphLatency
from console.engines.words import milliseconds
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.look.glyphs import Glyphs
from console.tui.rows.cells import Cell, Column, Row, make_row

_NARROW, _WIDE = 16, 40
_SLOW = "slower than the bound"

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
    """A row for each precision and batch size; its key is "precision/batch".

    Below it, where it was measured as a CUDA graph, too, a row "precision/batch/graph".
    """
    chart = _Chart(bench, glyphs)
    found = []
    for number, row in enumerate(bench.rows):
        best = number == bench.recommended
        found.append(_row(view, row, chart, best=best and not bench.recommended_graph))
        if row.graph is not None or row.no_graph is not None:
            found.append(_graph_row(view, row, chart, best=best and bench.recommended_graph))
    return found


def row_at(bench: EngineBench, key: str) -> BenchRow | None:
    """Of a row's key, also that of a graph."""
    return next((row for row in bench.rows if key in (row_key(row), _graph_key(row))), None)


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


def _graph_key(row: BenchRow) -> str:
    return f"{row_key(row)}/graph"


class _Chart:
    """What all bars of a bench have in common."""

    def __init__(self, bench: EngineBench, glyphs: Glyphs) -> None:
        self._bound, self._glyphs = bench.max_latency_ms, glyphs
        measured: list[BenchRow | GraphLatency] = [*bench.rows]
        measured += [row.graph for row in bench.rows if row.graph is not None]
        slowest = max((each.p99_ms or 0.0 for each in measured), default=0.0)
        self._scale = max(slowest, self._bound or 0.0)

    def slow(self, figures: BenchRow | GraphLatency) -> bool:
        """Whether it is beyond the bound."""
        bound, p99 = self._bound, figures.p99_ms
        return bound is not None and p99 is not None and p99 > bound

    def cells(self, figures: BenchRow | GraphLatency) -> tuple[Cell, ...]:
        """The bar, p50, p99, items a second."""

        def drawn(width: int) -> str:
            p50, p99, scale = figures.p50_ms, figures.p99_ms, self._scale
            return latency_bar(p50, p99, self._bound, scale=scale, glyphs=self._glyphs, width=width)

        tone = "warn" if self.slow(figures) else ""
        p50 = figures.p50_ms
        return (
            Cell(drawn(_NARROW), tone or "accent", sort=p50, wide=drawn(_WIDE)),
            _time(p50),
            _time(figures.p99_ms)._replace(tone=tone),
            Cell(_number(figures.throughput), sort=figures.throughput),
        )


def _row(view: NodeView, row: BenchRow, chart: _Chart, *, best: bool) -> Row:
    cells = (
        _best(best=best),
        Cell(row.precision, sort=row.precision),
        Cell(str(row.batch), sort=row.batch),
        *chart.cells(row),
        Cell(words.size(row.gpu_memory_bytes), sort=row.gpu_memory_bytes),
        Cell(words.size(row.plan_bytes), sort=row.plan_bytes),
        Cell(words.age(row.build_seconds), sort=row.build_seconds),
        Cell(row.reason or (_SLOW if chart.slow(row) else ""), "warn"),
    )
    return make_row(row_key(row), view.name, cells, dim=view.state != "live")


def _graph_row(view: NodeView, row: BenchRow, chart: _Chart, *, best: bool) -> Row:
    """The same engine as a CUDA graph, or why it is none."""
    graph = row.graph
    figures = chart.cells(BenchRow(precision=row.precision, batch=row.batch))
    slow = ""
    if graph is not None:
        figures, slow = chart.cells(graph), _SLOW if chart.slow(graph) else ""
    cells = (
        _best(best=best),
        Cell("as graph", sort=row.precision),
        Cell(str(row.batch), sort=row.batch),
        *figures,
        *(Cell("") for _ in range(3)),  # as in the row above
        Cell(row.no_graph or slow, "warn"),
    )
    return make_row(_graph_key(row), view.name, cells, dim=view.state != "live")


def _best(*, best: bool) -> Cell:
    return Cell("best" if best else "", "good", sort=0 if best else 1)


def _time(value: float | None) -> Cell:
    return Cell(words.UNKNOWN if value is None else milliseconds(value), sort=value)


def _number(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.0f}"
