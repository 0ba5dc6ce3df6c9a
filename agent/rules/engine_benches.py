"""What a bench builds for each of its rows, and which of them to take."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.protocol.engine_figures import BenchRow, Precision
from agent.protocol.engines import EngineRecipe, ShapeRange, Validation

BENCH_ITERATIONS, BENCH_WARMUP = 200, 20


def row_recipe(recipe: EngineRecipe, precision: Precision, batch: int) -> EngineRecipe:
    """Tuned for that batch alone: the first size of every input that may vary there.

    Other sizes are those that the recipe's first profile is tuned for.
    """
    profile = {
        name: _fixed([batch, *ranges.opt[1:]] if _varies(ranges) else ranges.opt)
        for name, ranges in (recipe.profiles[0] if recipe.profiles else {}).items()
    }
    return msgspec.structs.replace(
        recipe,
        precision=precision,
        profiles=[profile] if profile else [],
        validation=Validation(
            iterations=BENCH_ITERATIONS,
            warmup=BENCH_WARMUP,
            inputs=None,
            onnxruntime=False,
            previous=False,
            batches=[batch] if profile else [],
        ),
    )


def recommend(rows: Sequence[BenchRow], max_latency_ms: float | None) -> tuple[int | None, str]:
    """The row with the most items a second whose p99 is within the bound, and why that one."""
    measured = [
        (number, row)
        for number, row in enumerate(rows)
        if row.throughput is not None and row.p99_ms is not None
    ]
    if not measured:
        return None, "nothing could be measured: see the reasons"
    bound = max_latency_ms
    within = [(n, row) for n, row in measured if bound is None or (row.p99_ms or 0) <= bound]
    if not within:
        best = min(row.p99_ms or 0 for _, row in measured)
        return None, f"no p99 is within {bound:g} ms; the least is {best:.2f} ms"
    number, row = max(within, key=lambda each: each[1].throughput or 0)
    limit = "" if bound is None else f" with p99 within {bound:g} ms"
    return number, f"the most items a second{limit}: {row.throughput:.1f}"


def _varies(ranges: ShapeRange) -> bool:
    return bool(ranges.min) and ranges.min[0] != ranges.max[0]


def _fixed(sizes: list[int]) -> ShapeRange:
    return ShapeRange(min=sizes, opt=sizes, max=sizes)
