"""The parts of an engine on this node: what its key is made of."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.engines.host_executor import Looked
from agent.engines.onnx_file import Digests
from agent.protocol.engines import EngineParts, EngineRecipe, ModelFile
from agent.protocol.gpus import Gpu
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError

# Of `EngineParts`, what `add_gpu` says.
OF_THE_GPU = (
    *("gpu", "compute_capability", "gpu_memory_bytes", "sm_count"),
    *("module", "l4t", "power_mode"),
)


async def parts_of(
    recipe: EngineRecipe,
    looked: Looked,
    gpu: Gpu | None,
    *,
    digests: Digests,
    facts: NodeFacts,
    power_mode: str | None,
) -> tuple[EngineParts, list[ModelFile]]:
    """The parts, and the files among them; reads them whole where that was not done before.

    Raises:
        ProblemError: `engine.onnx`, `engine.no_gpu`.
    """
    found = await asyncio.to_thread(digests.of, Path(recipe.onnx))
    files = list(found.files)
    parts = bare_parts(looked)
    parts.onnx_sha256, parts.external_sha256, parts.recipe = found.model, found.external, recipe
    if recipe.calibration_cache is not None:
        calibration = await asyncio.to_thread(digests.of_file, Path(recipe.calibration_cache))
        files.append(calibration)
        parts.calibration_sha256 = calibration.sha256
    if looked.builder.flavour == "tensorrt_rtx":  # its engines run on other GPUs, too
        return parts, files
    if gpu is None:
        raise ProblemError(
            "engine.no_gpu",
            f"TensorRT {looked.builder.version} builds on the GPU that will run the engine, and"
            " there is none here",
            hint="TensorRT-RTX builds without a GPU, for GeForce and RTX.",
        )
    add_gpu(parts, looked, gpu, facts, power_mode)
    return parts, files


def bare_parts(looked: Looked) -> EngineParts:
    """Of whatever that TensorRT builds."""
    builder = looked.builder
    return EngineParts(flavour=builder.flavour, tensorrt=builder.version, image=builder.image)


def add_gpu(
    parts: EngineParts, looked: Looked, gpu: Gpu, facts: NodeFacts, power_mode: str | None
) -> None:
    """That it is for this GPU, and for this Jetson where it is one."""
    parts.gpu, parts.compute_capability = gpu.name, gpu.compute_capability
    parts.gpu_memory_bytes, parts.sm_count = gpu.memory_total_bytes, looked.sm_count
    if facts.gpu_stack.source == "tegra" or facts.gpu_stack.l4t_version is not None:
        parts.module, parts.l4t = facts.host.machine, facts.gpu_stack.l4t_version
        parts.power_mode = power_mode
