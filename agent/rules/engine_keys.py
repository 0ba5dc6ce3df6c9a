"""The key of an engine: equal for two builds that would make the same one."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from agent.protocol.engines import EngineParts, EngineRecipe, Executor

# What these say does not change what is built, or is in the parts by its content.
NOT_BUILT_IN = (
    "model",
    "onnx",
    "calibration_cache",
    "timeout_seconds",
    "memory_bytes",
    "executor",
    "image",
    "validation",
)
# Newer than the first keys: where they say nothing the key is the one that it was without them.
_ADDED: dict[str, object] = {"sparsity": False, "dla": None}
# What a DLA computes in, or may.
_OF_DLA = ("model", "fp16", "int8", "best")

# TensorRT's sizes have 32 bits.
SIZE_LIMIT = 2**31 - 1
_CAPABILITY = re.compile(r"[0-9]{1,2}\.[0-9]")


def engine_key(parts: EngineParts) -> str:
    """64 hex digits. The order of profiles makes a difference, that of inputs in one does not."""
    document = msgspec.to_builtins(parts)
    if parts.recipe is not None:
        document["recipe"] = _built_in(parts.recipe)
    return _digest(document)


def recipe_digest(recipe: EngineRecipe) -> str:
    """12 hex digits: the same for recipes that build the same, of whatever model."""
    return _digest(_built_in(recipe))[:12]


def _built_in(recipe: EngineRecipe) -> dict[str, Any]:
    """With what is at its default, too, which on the wire is left out."""
    said = {
        name: getattr(recipe, name) for name in recipe.__struct_fields__ if name not in NOT_BUILT_IN
    }
    document: dict[str, Any] = msgspec.to_builtins(said)
    return {
        name: value
        for name, value in document.items()
        if not (name in _ADDED and value == _ADDED[name])
    }


def _digest(document: dict[str, Any]) -> str:
    encoded = msgspec.json.encode(document, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()


def misplaced(executor: Executor, image: str | None) -> str | None:
    """What is wrong with where it shall be built, in words; None: nothing."""
    if executor == "container" and image is None:
        return "executor: container needs the image, whose TensorRT is used"
    if executor == "host" and image is not None:
        return "an image is given, and executor: host does not use it; executor: container does"
    return None


def impossible(recipe: EngineRecipe) -> str | None:
    """What is wrong with a recipe whatever the model is, in words; None: nothing."""
    if wrong := misplaced(recipe.executor, recipe.image):
        return wrong
    if recipe.calibration_cache is not None and recipe.precision not in ("int8", "best"):
        return f"a calibration cache is for int8, and precision is {recipe.precision}"
    if recipe.dla is not None and recipe.precision not in _OF_DLA:
        return f"a DLA computes in fp16 and int8 only, and precision is {recipe.precision}"
    if recipe.dla is not None and recipe.compute_capabilities:
        return "compute_capabilities are for TensorRT-RTX, which builds for no DLA"
    for capability in recipe.compute_capabilities:
        if not _CAPABILITY.fullmatch(capability):
            return f"{capability!r} is no compute capability as 8.6 is one"
    return _ill_shaped(recipe)


def _ill_shaped(recipe: EngineRecipe) -> str | None:
    """What is wrong with its profiles."""
    for number, profile in enumerate(recipe.profiles, 1):
        for name, ranges in profile.items():
            where = f"profile {number}, input {name!r}"
            if not len(ranges.min) == len(ranges.opt) == len(ranges.max):
                return f"{where}: min, opt and max have different numbers of dimensions"
            if min(ranges.min, default=0) < 0 or max(ranges.max, default=0) > SIZE_LIMIT:
                return f"{where}: a size is below 0 or over {SIZE_LIMIT}"
            for low, best, high in zip(ranges.min, ranges.opt, ranges.max, strict=True):
                if not low <= best <= high:
                    return f"{where}: min {low}, opt {best}, max {high} do not ascend"
    return None
