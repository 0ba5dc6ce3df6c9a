"""Room on a GPU beside what runs on it: a build waits until there is enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from agent.jobs.work import Work
from agent.protocol.engines import EngineRecipe
from agent.protocol.gpus import Gpu, GpuSample
from agent.protocol.problems import ProblemError

WAITING = "waiting for GPU memory"
WAIT_SECONDS = 1800.0
LOOK_SECONDS = 0.5
# The stage's own deadline comes after ours, which says more.
MARGIN_SECONDS = 60.0

# The builder itself found too little, which no figure of the driver's said before.
AGAIN_SECONDS = 15.0
T = TypeVar("T")

Samples = Callable[[], Sequence[GpuSample]]


class _Room(NamedTuple):
    free: int
    total: int


async def with_room(
    work: Work[Any],
    recipe: EngineRecipe,
    gpu: Gpu | None,
    build: Callable[[], Awaitable[T]],
    *,
    samples: Samples,
    seconds: float,
) -> T:
    """Build once there is room; once more later where the builder finds that there is not.

    Raises:
        ProblemError: as `await_room`, and what `build` raises.
    """
    until = time.monotonic() + seconds
    while True:
        await await_room(work, recipe, gpu, samples=samples, seconds=seconds)
        try:
            return await build()
        except ProblemError as problem:
            if problem.code != "engine.gpu_busy" or time.monotonic() >= until:
                raise
            work.log(f"waits: {problem.detail}")
            await work.stage(WAITING, seconds + MARGIN_SECONDS, idle=problem.detail)
        await asyncio.sleep(AGAIN_SECONDS)


async def await_room(
    work: Work[Any], recipe: EngineRecipe, gpu: Gpu | None, *, samples: Samples, seconds: float
) -> None:
    """Wait until so much of the GPU is free as a recipe wants, for at most so many seconds.

    Raises:
        ProblemError: `engine.gpu_busy`; `engine.recipe`: the GPU does not have as much.
    """
    wanted = recipe.gpu_memory_bytes or recipe.workspace_bytes
    if gpu is None or wanted is None:
        return
    until = time.monotonic() + seconds
    waits = False
    while (room := _room(gpu, samples())) is not None and room.free < wanted:
        text = f"{gpu.name} has {_mib(room.free)} free of {_mib(room.total)}"
        text += f", and the recipe wants {_mib(wanted)}"
        if wanted > room.total:
            raise ProblemError(
                "engine.recipe",
                f"{gpu.name} has {_mib(room.total)}, and the recipe wants {_mib(wanted)}",
                params={"gpu": gpu.uuid, "wanted_bytes": wanted},
                hint="Lower gpu_memory_bytes and workspace_bytes, or build on another GPU.",
            )
        if time.monotonic() >= until:
            raise ProblemError(
                "engine.gpu_busy",
                f"{text}; it was waited for {seconds:g} s",
                params={"gpu": gpu.uuid, "free_bytes": room.free, "wanted_bytes": wanted},
                hint="Stop or move what runs there, lower gpu_memory_bytes and workspace_bytes, or"
                " build on another GPU.",
            )
        if not waits:
            waits = True
            work.log(f"waits: {text}")
            idle = f"{text}: stop or move what runs there, or cancel this"
            await work.stage(WAITING, seconds + MARGIN_SECONDS, idle=idle)
        await asyncio.sleep(LOOK_SECONDS)
    if waits:
        work.log(f"{gpu.name} has room now")
    elif room is None:
        work.log(f"the free memory of {gpu.name} is not known, so it was not compared")


def _room(gpu: Gpu, samples: Sequence[GpuSample]) -> _Room | None:
    """As it was sampled last; None: not known."""
    sample = next((each for each in samples if each.uuid == gpu.uuid), None)
    if sample is None or sample.memory_used_bytes is None:
        return None
    total = sample.memory_total_bytes or gpu.memory_total_bytes
    if total is None:
        return None
    free = total - sample.memory_used_bytes - (sample.memory_reserved_bytes or 0)
    return _Room(max(free, 0), total)


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"
