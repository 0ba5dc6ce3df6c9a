"""What a bench builds for each of its rows, and which of them to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from agent.protocol.engine_figures import BenchRow, Precision
from agent.protocol.engines import EngineRecipe, ShapeRange, Validation

BENCH_ITERATIONS, BENCH_WARMUP = 200, 20


def row_recipe(
    recipe: EngineRecipe, precision: Precision, batch: int, *, cuda_graphs: bool = False
) -> EngineRecipe:
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
            inputs=recipe.validation.inputs,
            not_finite=recipe.validation.not_finite,
            onnxruntime=False,
            previous=False,
            batches=[batch] if profile else [],
            cuda_graphs=cuda_graphs,
        ),
    )


def fixed_batch(recipe: EngineRecipe) -> int | None:
    """The one batch size that its first profile allows; None: it varies, or the model tells."""
    ranges = [each for each in (recipe.profiles[0] if recipe.profiles else {}).values() if each.opt]
    if not ranges or any(_varies(each) for each in ranges):
        return None
    return ranges[0].opt[0]


def batch_of(shapes: Sequence[Sequence[int]]) -> int:
    """Of a model whose inputs have these shapes, none of which varies."""
    return next((shape[0] for shape in shapes if shape), 1)


def next_row(
    rows: Sequence[BenchRow],
    precisions: Sequence[Precision],
    batches: Sequence[int],
    fixed: int | None,
) -> BenchRow | None:
    """What comes next, with nothing measured; None: all is there.

    Where the batch is `fixed`, that one is measured; of the others it is said that they cannot be.
    """
    there = {(row.precision, row.batch) for row in rows}
    order = bench_batches(batches, fixed)
    for precision in precisions:
        for batch in order:
            if (precision, batch) in there:
                continue
            row = BenchRow(precision=precision, batch=batch)
            if fixed not in (None, batch):
                row.reason = f"not possible: the batch is fixed at {fixed}"
            return row
    return None


def bench_batches(batches: Sequence[int], fixed: int | None) -> list[int]:
    """In which order they are measured."""
    return list(dict.fromkeys(batches if fixed is None else [fixed, *batches]))


class _Measured(NamedTuple):
    throughput: float
    p99_ms: float
    row: int
    graph: bool


def recommend(
    rows: Sequence[BenchRow], max_latency_ms: float | None
) -> tuple[int | None, bool, str]:
    """The row with the most items a second whose p99 is within the bound.

    Returns:
        Which one, whether it is so as a CUDA graph, and why that one; or why there is none.
    """
    measured = [each for number, row in enumerate(rows) for each in _measured(number, row)]
    if not measured:
        return None, False, "nothing could be measured: see the reasons"
    bound = max_latency_ms
    within = [each for each in measured if bound is None or each.p99_ms <= bound]
    if not within:
        best = min(each.p99_ms for each in measured)
        return None, False, f"no p99 is within {bound:g} ms; the least is {best:.2f} ms"
    best_one = max(within, key=lambda each: each.throughput)
    limit = "" if bound is None else f" with p99 within {bound:g} ms"
    graph = " as a CUDA graph" if best_one.graph else ""
    why = f"the most items a second{limit}: {best_one.throughput:.1f}{graph}"
    return best_one.row, best_one.graph, why


def _measured(number: int, row: BenchRow) -> Iterator[_Measured]:
    """Without a graph first: that one is taken where it is as good."""
    if row.throughput is not None and row.p99_ms is not None:
        yield _Measured(row.throughput, row.p99_ms, number, graph=False)
    if row.graph is not None:
        yield _Measured(row.graph.throughput, row.graph.p99_ms, number, graph=True)


def _varies(ranges: ShapeRange) -> bool:
    return bool(ranges.min) and ranges.min[0] != ranges.max[0]


def _fixed(sizes: list[int]) -> ShapeRange:
    return ShapeRange(min=sizes, opt=sizes, max=sizes)
