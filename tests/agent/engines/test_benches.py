"""`engine.bench` over a stand-in for a builder, and what is recommended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.engine_figures import BenchRow, EngineBench, GraphLatency
from agent.protocol.engines import BenchRequest
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.rules.engine_benches import recommend, row_recipe
from tests.agent.engines.engine_side import (
    A10,
    EngineSide,
    content,
    engine_side,
    put,
    recipe,
    stand_in,
)

pytestmark = pytest.mark.timeout(60)

NO_FP16 = (
    "if job['precision'] == 'fp16':\n"
    "    tell({'event': 'failed', 'code': 'engine.unsupported', 'text': 'no fp16 here'})\n"
    "    sys.exit(1)"
)


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[EngineSide]:
    async with engine_side(tmp_path, [stand_in(tmp_path, NO_FP16)], gpus=[A10]) as made:
        yield made


async def begin(side: EngineSide, onnx: Path, **asked: Any) -> Job:
    request = BenchRequest(recipe=recipe(onnx), **{"batches": [1, 8, 16], **asked})
    return await side.engines.bench(request, owner="maria", key=None)


async def bench(side: EngineSide, onnx: Path, **asked: Any) -> tuple[Job, EngineBench]:
    job = await side.ended(await begin(side, onnx, **asked))
    assert job.problem is None, job.problem
    return job, await side.engines.show_bench(job.id)


async def test_a_table_with_a_row_for_each(side: EngineSide, onnx: Path) -> None:
    job, table = await bench(side, onnx, precisions=["model", "fp16"], max_latency_ms=12.0)
    assert [(row.precision, row.batch, row.p99_ms) for row in table.rows] == [
        ("model", 1, 3.0),
        ("model", 8, 10.0),
        ("model", 16, 18.0),
        ("fp16", 1, None),
        ("fp16", 8, None),
        ("fp16", 16, None),
    ]
    assert {row.reason for row in table.rows[3:]} == {"no fp16 here"}
    assert (table.recommended, job.result["recommended"]) == (1, "precision model, batch 8")
    assert (table.gpu, table.tensorrt, table.rows[0].gpu_memory_bytes) == (A10.name, "10.13.2.6", 2)
    assert side.files() == []  # nothing of it is kept but the table
    assert [each.job for each in await side.engines.benches()] == [job.id]


GRAPHS = """
if job['validation']['cuda_graphs']:
    plain = latencies
    def latencies(job):
        (row,) = plain(job)
        if row['batch'] == 1:
            figures = {name: row[name] / 2 for name in ('p50_ms', 'p99_ms', 'mean_ms')}
            return [dict(row, graph=dict(figures, throughput=row['throughput'] * 2))]
        return [dict(row, no_graph='it waits amid a run')]
"""


async def test_engines_as_cuda_graphs(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path, GRAPHS)], gpus=[A10]) as side:
        _, table = await bench(side, onnx, batches=[1, 8], cuda_graphs=True)
        assert table.cuda_graphs
        assert [(row.p99_ms, row.graph and row.graph.p99_ms) for row in table.rows] == [
            (3.0, 1.5),
            (10.0, None),
        ]
        assert [row.no_graph for row in table.rows] == [None, "it waits amid a run"]
        assert (table.recommended, table.recommended_graph) == (0, True)
        _, plain = await bench(side, onnx, batches=[1])
        assert (plain.cuda_graphs, plain.rows[0].graph) == (False, None)


async def test_nothing_can_be_built(side: EngineSide, onnx: Path) -> None:
    job = await side.ended(await begin(side, onnx, precisions=["fp16"]))
    assert job.problem is not None
    assert (job.state, job.problem.code) == ("failed", "engine.unsupported")


async def test_a_bench_that_was_cut_off_goes_on(tmp_path: Path, onnx: Path) -> None:
    second = "if job['profiles'][0]['images']['opt'][0] == 8: time.sleep(600)"
    builder = stand_in(tmp_path, second)
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        job = await begin(side, onnx)
        await side.said(job, "batch 8")
        while len((await side.engines.show_bench(job.id)).rows) != 1:
            pass
    stand_in(tmp_path, "if job['profiles'][0]['images']['opt'][0] == 1: sys.exit(1)")
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        assert (await side.ended(job)).problem is None
        table = await side.engines.show_bench(job.id)
    assert [(row.batch, row.problem) for row in table.rows] == [(1, None), (8, None), (16, None)]


PARSED = "'inputs': []", "'inputs': [{'name': 'images', 'shape': [4, 3, 64, 64], 'dtype': 'float'}]"


@pytest.mark.parametrize("profiles", [[], [{"images": [4, 3, 64, 64]}]])
async def test_a_batch_that_is_fixed_is_measured_once(
    tmp_path: Path, onnx: Path, profiles: list[dict[str, list[int]]]
) -> None:
    """Where a profile says so, and where only the model does."""
    script = stand_in(tmp_path)
    said = content(script).decode().replace(*PARSED).replace("else 1\n", "else 4\n")
    put(script, said.encode())
    fixed = [
        {name: {"min": shape, "opt": shape, "max": shape} for name, shape in each.items()}
        for each in profiles
    ]
    async with engine_side(tmp_path, [script], gpus=[A10]) as side:
        request = BenchRequest(
            recipe=recipe(onnx, profiles=fixed),
            batches=[1, 4, 8],
            precisions=["model", "best"],
        )
        job = await side.ended(await side.engines.bench(request, owner="maria", key=None))
        assert job.problem is None, job.problem
        table = await side.engines.show_bench(job.id)
        log = await side.log(job)
    no = "not possible: the batch is fixed at 4"
    assert table.fixed_batch == 4
    assert [(row.precision, row.batch, row.p99_ms, row.reason) for row in table.rows] == [
        ("model", 4, 6.0, None),
        ("model", 1, None, no),
        ("model", 8, None, no),
        ("best", 4, 6.0, None),
        ("best", 1, None, no),
        ("best", 8, None, no),
    ]
    assert {row.problem.code for row in table.rows if row.problem} == {"engine.profile"}
    assert table.recommended == 0
    assert log.count("1 layers") == 2, "nothing else was built"


async def test_a_row_is_never_the_figures_of_another_batch(tmp_path: Path, onnx: Path) -> None:
    script = stand_in(tmp_path)
    put(script, content(script).replace(b'"batch": batch,', b'"batch": batch + 1,'))
    async with engine_side(tmp_path, [script], gpus=[A10]) as side:
        _, table = await bench(side, onnx, batches=[1, 8])
    assert [(row.throughput, row.reason) for row in table.rows] == [
        (None, "it was run with a batch of 2"),
        (None, "it was run with a batch of 9"),
    ]


async def test_a_bench_that_is_not_there(side: EngineSide) -> None:
    with pytest.raises(ProblemError) as caught:
        await side.engines.show_bench("0123")
    assert caught.value.code == "engine.no_bench"


def test_each_row_is_tuned_for_its_batch() -> None:
    made = row_recipe(recipe(Path("/m.onnx")), "fp16", 32)
    assert made.precision == "fp16"
    (profile,) = made.profiles
    ranges = profile["images"]
    assert ranges.min == ranges.opt == ranges.max == [32, 3, 64, 64]


def test_what_is_recommended() -> None:
    rows = [
        BenchRow(precision="model", batch=1, throughput=100.0, p99_ms=5.0),
        BenchRow(precision="model", batch=8, throughput=400.0, p99_ms=20.0),
        BenchRow(precision="model", batch=16, reason="there is no GPU"),
    ]
    assert recommend(rows, None)[0] == 1
    assert recommend(rows, 10.0)[0] == 0
    assert recommend(rows, 1.0) == (None, False, "no p99 is within 1 ms; the least is 5.00 ms")
    nothing = "nothing could be measured: see the reasons"
    assert recommend(rows[2:], None) == (None, False, nothing)
    rows[0].graph = GraphLatency(p50_ms=0.5, p99_ms=0.9, mean_ms=0.5, throughput=399.0)
    assert recommend(rows, None)[:2] == (1, False)
    why = "the most items a second with p99 within 1 ms: 399.0 as a CUDA graph"
    assert recommend(rows, 1.0) == (0, True, why)


def test_a_row_is_fed_and_judged_as_the_recipe_says(onnx: Path) -> None:
    said = recipe(onnx, validation={"inputs": "/srv/frames", "not_finite": True, "rtol": 0.5})
    made = row_recipe(said, "fp16", 4).validation
    assert (made.inputs, made.not_finite) == ("/srv/frames", True)
    assert (made.onnxruntime, made.previous, made.batches) == (False, False, [4])
