"""Whether the engine that is in use on a node is the one that a workload wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from agent.protocol.engines import Engine, EngineParts, EngineRecipe, Stale
from agent.rules.engine_keys import NOT_BUILT_IN

# What of a recipe says which GPUs an engine is for; and what an engine is made from and with.
_FOR = ("compute_capabilities",)
_MODEL = ("onnx_sha256", "external_sha256", "calibration_sha256", "flavour", "tensorrt", "image")


class ModelNow(msgspec.Struct, kw_only=True, frozen=True):
    """What a recipe names, as it is on the node; None: it is not there, or cannot be read."""

    onnx_sha256: str | None = None
    external_sha256: Mapping[str, str] = {}
    image: str | None = None  # config digest; None: it names none, "": it is not here


def gpu_kind(parts: EngineParts) -> tuple[object, ...]:
    """The kind of GPU that an engine is for, or those that its recipe names."""
    named = parts.recipe.compute_capabilities if parts.recipe else ()
    return (parts.gpu, parts.compute_capability, parts.gpu_memory_bytes, *sorted(named))


def in_use(engines: Sequence[Engine]) -> list[Engine]:
    """Of each model the one that `current` points at; where there is none, the newest.

    After it, of each other kind of GPU for which workloads have one, the newest.

    Args:
        engines: of a node, newest first.
    """
    chosen: dict[str, Engine] = {}
    for engine in engines:
        if engine.current or engine.model not in chosen:
            chosen[engine.model] = engine
    found = []
    for model, first in chosen.items():
        others: dict[tuple[object, ...], list[Engine]] = {}
        for engine in engines:
            kind = gpu_kind(engine.manifest.parts)
            gone = any(stale.what == "gpu" for stale in engine.stale)
            if engine.model == model and kind != gpu_kind(first.manifest.parts) and not gone:
                others.setdefault(kind, []).append(engine)
        found += [first, *(alike[0] for alike in others.values() if any(e.used_by for e in alike))]
    return found


def why_another(engine: Engine, recipe: EngineRecipe | None, now: ModelNow) -> str | None:
    """Why an engine is not what is wanted, in words; None: it is.

    Args:
        recipe: that it shall be of; None: any will do that fits the node's GPUs.
    """
    for stale in engine.stale:
        if _matters(stale, recipe):
            return stale.text
    if recipe is None:
        return None
    parts = engine.manifest.parts
    built = parts.recipe
    if built is None:
        return "it was imported, and nothing says what it was built from"
    if other := _differing(built, recipe):
        return f"it was built with another {' and '.join(other)}"
    if now.onnx_sha256 is None:
        if built.onnx != recipe.onnx:
            return f"it was built from {built.onnx}, and {recipe.onnx} is not here"
    elif (now.onnx_sha256, now.external_sha256) != (parts.onnx_sha256, parts.external_sha256):
        return f"it was not built from {recipe.onnx} as that is now"
    if engine.manifest.imported is not None:
        return None  # by whichever TensorRT, it ran with the one here
    if now.image != parts.image:
        where = engine.manifest.image_name or "the node's own TensorRT"
        return f"it was built in {where}, and shall be in {recipe.image or 'that of the node'}"
    return None


def built_alike(one: EngineParts, other: EngineParts) -> bool:
    """Whether these differ in nothing but the GPUs that they are for."""
    if one.recipe is None or other.recipe is None or _differing(one.recipe, other.recipe, _FOR):
        return False
    return all(getattr(one, name) == getattr(other, name) for name in _MODEL)


def notes_on(engine: Engine, recipe: EngineRecipe | None) -> list[str]:
    """What one may want to know of an engine that is handed over all the same."""
    return [
        f"the engine is stale: {each.text}" for each in engine.stale if not _matters(each, recipe)
    ]


def _matters(stale: Stale, recipe: EngineRecipe | None) -> bool:
    """A Jetson's power mode changes how fast an engine is; what else changed makes another one."""
    if stale.what == "gpu":
        return True
    return recipe is not None and stale.rebuild and stale.what != "power_mode"


def _differing(built: EngineRecipe, wanted: EngineRecipe, but: Sequence[str] = ()) -> list[str]:
    """What of a recipe makes another engine, and is another one in these."""
    return [
        name
        for name in EngineRecipe.__struct_fields__
        if name not in (*NOT_BUILT_IN, *but) and getattr(built, name) != getattr(wanted, name)
    ]
