"""The job `engine.bench`: an engine for each batch size and precision, measured and thrown away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from anyio import fail_after

from agent.engines.bench_store import BenchStore
from agent.engines.host_executor import Looked
from agent.engines.told import Told, incomplete
from agent.engines.workshop import LOOK_SECONDS, Workshop
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.engine_figures import BenchRow, EngineBench, EngineCheck
from agent.protocol.engines import BenchRequest
from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError
from agent.rules.engine_benches import (
    batch_of,
    bench_batches,
    fixed_batch,
    next_row,
    recommend,
    row_recipe,
)

BENCH = "engine.bench"
# Beyond a row's own time-out.
ROW_EXTRA_SECONDS = 60.0


class BenchKind(JobKind[BenchRequest]):
    """Fills a table row by row; it is on disk after each, so that a cut-off bench goes on."""

    name = BENCH
    request_type = BenchRequest
    resumable = True
    joins = True
    at_once = None

    def __init__(self, shop: Workshop, benches: BenchStore) -> None:
        self._shop, self._benches = shop, benches

    def subject(self, request: BenchRequest) -> str:
        return request.recipe.model

    def locks(self, request: BenchRequest) -> Sequence[str]:
        return self._shop.locks(request.gpu, request.recipe.model)

    async def run(self, work: Work[BenchRequest]) -> dict[str, str]:
        shop, request = self._shop, work.request
        recipe = request.recipe
        await work.stage("looking", LOOK_SECONDS)
        gpu = shop.gpu(request.gpu)
        looked = await shop.look(work, recipe.executor, recipe.image, gpu)
        # What is wrong with the model is wrong with every row.
        await shop.parts(recipe, looked, gpu)
        await shop.await_room(work, recipe, gpu)
        bench = await asyncio.to_thread(self._benches.find, work.job.id) or EngineBench(
            job=work.job.id,
            model=recipe.model,
            at=time.time(),
            flavour=looked.builder.flavour,
            tensorrt=looked.builder.version,
            gpu=gpu.name if gpu else None,
            driver_version=shop.driver(),
            max_latency_ms=request.max_latency_ms,
            cuda_graphs=request.cuda_graphs,
        )
        if bench.fixed_batch is None:
            bench.fixed_batch = fixed_batch(recipe)
        while (row := self._next(bench, request)) is not None:
            if row.reason is None:
                await self._row(row, bench, work, looked, gpu)
            else:
                problem = ProblemError(
                    "engine.profile",
                    row.reason,
                    hint="Give it a dynamic batch: in the ONNX, and in a profile.",
                )
                row.problem = problem.problem()
            bench.rows.append(row)
            bench.recommended, bench.recommended_graph, bench.why = recommend(
                bench.rows, request.max_latency_ms
            )
            await asyncio.to_thread(self._benches.keep, bench)
        if all(row.problem for row in bench.rows) and bench.rows[0].problem:
            raise ProblemError.from_problem(bench.rows[0].problem)
        return _result(bench)

    def _next(self, bench: EngineBench, request: BenchRequest) -> BenchRow | None:
        return next_row(bench.rows, request.precisions, request.batches, bench.fixed_batch)

    async def _row(
        self,
        row: BenchRow,
        bench: EngineBench,
        work: Work[BenchRequest],
        looked: Looked,
        gpu: Gpu | None,
    ) -> None:
        request = work.request
        batches = bench_batches(request.batches, bench.fixed_batch)
        await work.stage(
            f"{row.precision} {row.batch}, {len(bench.rows) + 1} of"
            f" {len(request.precisions) * len(batches)}",
            request.recipe.timeout_seconds + ROW_EXTRA_SECONDS,
        )
        work.log(f"precision {row.precision}, batch {row.batch}")
        try:
            told, check = await self._measure(row, work, looked, gpu)
        except ProblemError as problem:
            if not problem.code.startswith("engine."):
                raise
            row.problem, row.reason = problem.problem(), problem.detail
            work.log(f"no engine: {problem.detail}")
            return
        if not request.recipe.profiles and told.parsed is not None:
            row.batch = bench.fixed_batch = batch_of([each.shape for each in told.parsed.inputs])
            work.log(f"the model's batch is fixed at {row.batch}")
        _measured(row, told, check)

    async def _measure(
        self, row: BenchRow, work: Work[BenchRequest], looked: Looked, gpu: Gpu | None
    ) -> tuple[Told, EngineCheck]:
        shop, request = self._shop, work.request
        recipe = row_recipe(
            request.recipe, row.precision, row.batch, cuda_graphs=request.cuda_graphs
        )
        async with shop.place(recipe.model, work.job.id) as place:
            try:
                with fail_after(recipe.timeout_seconds):
                    told = await shop.run(
                        work, place, looked, gpu, recipe=recipe, validation=recipe.validation
                    )
            except TimeoutError:
                raise ProblemError(
                    "engine.build",
                    f"it took longer than {recipe.timeout_seconds:g} s",
                    hint="Raise timeout_seconds in the recipe.",
                ) from None
        return told, shop.checked(told, recipe.validation, gpu)


def _measured(row: BenchRow, told: Told, check: EngineCheck) -> None:
    if told.built is None:
        raise incomplete()
    row.build_seconds, row.plan_bytes = told.built.seconds, told.built.plan_bytes
    if check.gpu_memory is not None:
        row.gpu_memory_bytes = check.gpu_memory.engine_bytes
    if not check.latencies:
        row.reason = check.reason or "it was not run"
        return
    latency = next((each for each in check.latencies if each.batch == row.batch), None)
    if latency is None:
        ran = ", ".join(str(each.batch) for each in check.latencies)
        row.reason = f"it was run with a batch of {ran}"
        return
    row.p50_ms, row.p99_ms, row.mean_ms = latency.p50_ms, latency.p99_ms, latency.mean_ms
    row.throughput = latency.throughput
    row.graph, row.no_graph = latency.graph, latency.no_graph


def _result(bench: EngineBench) -> dict[str, str]:
    result = {"model": bench.model, "rows": str(len(bench.rows)), "why": bench.why}
    if bench.recommended is not None:
        row = bench.rows[bench.recommended]
        graph = ", as a CUDA graph" if bench.recommended_graph else ""
        result["recommended"] = f"precision {row.precision}, batch {row.batch}{graph}"
    return result
