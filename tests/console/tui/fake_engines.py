"""The TensorRT engines of a node without an agent."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from agent.protocol.engine_figures import BenchRow, EngineBench, Precision
from agent.protocol.engines import (
    BenchRequest,
    BuildRequest,
    Engine,
    EngineLog,
    EngineRecipe,
    EngineRemoveRequest,
    UseRequest,
    VerifyRequest,
)
from agent.protocol.jobs import Job
from agent.rules.engine_keys import recipe_digest
from console.fleet.picture import NodeView
from tests.console.tui import fakes
from tests.console.tui.fakes import begun

RECIPE: dict[str, object] = {
    "precision": "fp16",
    "profiles": [
        {"images": {"min": [1, 3, 640, 640], "opt": [8, 3, 640, 640], "max": [16, 3, 640, 640]}}
    ],
}
# What jobs that build so say.
LIKE = recipe_digest(msgspec.convert({"model": "m", "onnx": "/m", **RECIPE}, EngineRecipe))


def make_engine(
    model: str = "detector", number: int = 1, *, current: bool = True, **fields: object
) -> Engine:
    """An engine of that model for an A10; another `number` is another one, built earlier."""
    key = hashlib.sha256(f"{model} {number}".encode()).hexdigest()
    recipe = {"model": model, "onnx": f"/srv/models/{model}.onnx", **RECIPE}
    parts: dict[str, object] = {
        "onnx_sha256": hashlib.sha256(model.encode()).hexdigest(),
        "recipe": recipe,
        "flavour": "tensorrt",
        "tensorrt": "10.13.2.6",
        "gpu": "NVIDIA A10",
        "compute_capability": "8.6",
    }
    manifest: dict[str, object] = {
        "key": key,
        "parts": parts,
        "driver_version": "535.183.01",
        "built_at": fakes.NOW - 86400 * number,
        "build_seconds": 310.0,
        "peak_memory_bytes": 3 * fakes.GIB,
        "plan_bytes": 48 * 1024**2,
        "plan_sha256": key[::-1],
        "plan_version": [10, 13, 2, 6],
        "layers": 225,
        "warnings": 2,
        "verification": "ran",
        "check": {"state": "ran", "latencies": [latency(1, 2.1), latency(8, 11.42)]},
        "job": f"build-{number}",
        **fields,
    }
    path = f"/var/lib/roost/engines/{model}/{key}/model.plan"
    engine = {"model": model, "current": current, "path": path, "manifest": manifest}
    return msgspec.convert(engine, Engine)


def latency(batch: int, p50_ms: float) -> dict[str, object]:
    """What was measured at that batch size."""
    return {
        "profile": 0,
        "batch": batch,
        "shapes": {"images": [batch, 3, 640, 640]},
        "iterations": 50,
        "p50_ms": p50_ms,
        "p99_ms": p50_ms * 1.2,
        "mean_ms": p50_ms,
        "throughput": 1000 * batch / p50_ms,
    }


@dataclass
class FakeEngines:
    """`answer` is awaited before anything is answered, and may raise."""

    view: NodeView
    answer: Callable[[], Awaitable[None]]
    held: builtins.list[Engine] = field(default_factory=list)
    built: builtins.list[BuildRequest] = field(default_factory=list)
    asked: builtins.list[tuple[str, str]] = field(default_factory=list)
    """What else was asked for, and of which engine."""
    measured: builtins.list[EngineBench] = field(default_factory=list)
    benched: builtins.list[BenchRequest] = field(default_factory=list)
    lists: int = 0
    """How often it was asked for its engines."""

    async def list(self) -> builtins.list[Engine]:
        await self.answer()
        self.lists += 1
        return [*self.held]

    async def build(self, request: BuildRequest, key: str) -> Job:
        await self.answer()
        self.built.append(request)
        return begun(self.view, "engine.build", request.recipe.model)

    async def log(self, model: str, key: str) -> EngineLog:
        await self.answer()
        return EngineLog(model=model, key=key, text="parsed\nbuilt\n", size_bytes=13)

    async def bench(self, request: BenchRequest, key: str) -> Job:
        await self.answer()
        self.benched.append(request)
        return begun(self.view, "engine.bench", request.recipe.model)

    async def verify(self, model: str, request: VerifyRequest, key: str) -> Job:
        await self.answer()
        self.asked.append(("verify", request.key or ""))
        return begun(self.view, "engine.verify", model)

    async def use(self, model: str, request: UseRequest) -> Engine:
        await self.answer()
        self.asked.append(("use", request.key))
        for engine in self.held:
            if engine.model == model:
                engine.current = engine.manifest.key == request.key
        return next(each for each in self.held if each.manifest.key == request.key)

    async def remove(self, model: str, request: EngineRemoveRequest) -> builtins.list[Engine]:
        await self.answer()
        self.asked.append(("remove", request.key))
        self.held = [each for each in self.held if each.manifest.key != request.key]
        return [each for each in self.held if each.model == model]

    async def benches(self) -> builtins.list[EngineBench]:
        await self.answer()
        return [*self.measured]


def make_bench(model: str = "detector", *, rows: int = 6) -> EngineBench:
    """Two precisions at three batch sizes; the last one has no figures."""
    speeds: list[tuple[Precision, float]] = [("model", 4.0), ("fp16", 1.5)]
    found = [
        BenchRow(
            precision=precision,
            batch=batch,
            build_seconds=60.0,
            plan_bytes=48 * 1024**2,
            gpu_memory_bytes=900 * 1024**2,
            p50_ms=batch * slow,
            p99_ms=batch * slow * 1.25,
            mean_ms=batch * slow,
            throughput=1000 / slow,
        )
        for precision, slow in speeds
        for batch in (1, 4, 8)
    ][:rows]
    if rows == 6:
        found[-1] = BenchRow(precision="fp16", batch=8, reason="no GPU memory for it")
    return EngineBench(
        job="m1",
        model=model,
        at=fakes.NOW - 3600,
        flavour="tensorrt",
        tensorrt="10.13.2.6",
        gpu="NVIDIA A10",
        max_latency_ms=20.0,
        rows=found,
        recommended=4 if rows == 6 else None,
        why="the most items a second of those whose p99 is at most 20 ms",
    )
