"""What is said of an engine, on the command line and on the screens."""

from __future__ import annotations

from agent.protocol.engine_figures import EngineLatency
from agent.protocol.engines import Engine

KEY_DIGITS = 12
_FLAVOURS = {"tensorrt": "TensorRT", "tensorrt_rtx": "RTX"}
_TRIED = {"header": "no", "deserialised": "loads", "ran": "ran"}


def short_key(key: str) -> str:
    """As people write it."""
    return key[:KEY_DIGITS]


def tensorrt(engine: Engine) -> str:
    """ "TensorRT 10.13.2.6", "RTX 1.7.1.116"."""
    parts = engine.manifest.parts
    return f"{_FLAVOURS.get(parts.flavour, parts.flavour)} {parts.tensorrt}"


def built_for(engine: Engine) -> str:
    """The GPU, or the compute capabilities that it was built for; "unknown" of one imported."""
    parts = engine.manifest.parts
    if parts.gpu is not None:
        return parts.gpu
    if parts.recipe is None:
        return parts.compute_capability or "unknown"
    named = parts.recipe.compute_capabilities
    return ",".join(f"sm_{each.replace('.', '')}" for each in named) or "any RTX"


def tried(engine: Engine) -> str:
    """How far it was tried on a GPU: no, loads, ran."""
    verification = engine.manifest.verification
    return _TRIED.get(verification, verification)


def precision(engine: Engine) -> str:
    """What its recipe asks for; "imported" where it has none."""
    recipe = engine.manifest.parts.recipe
    return "imported" if recipe is None else recipe.precision


def built_with(engine: Engine) -> str:
    """What else its recipe asks for that makes another engine; "" where that is nothing."""
    recipe = engine.manifest.parts.recipe
    if recipe is None:
        return ""
    said = []
    if recipe.dla is not None:
        rest = ", the GPU for the rest" if recipe.dla.gpu_fallback else ""
        said.append(f"DLA core {recipe.dla.core}{rest}")
    if recipe.sparsity:
        said.append("2:4 sparsity")
    if recipe.optimization_level is not None:
        said.append(f"optimization level {recipe.optimization_level}")
    if recipe.version_compatible:
        said.append("version-compatible")
    if recipe.hardware_compatibility is not None:
        said.append(f"hardware compatibility {recipe.hardware_compatibility}")
    if not recipe.timing_cache:
        said.append("no timing cache")
    return "; ".join(said)


def why_stale(engine: Engine) -> str:
    """What is not as it was; "" where nothing is."""
    return "; ".join(each.text for each in engine.stale)


def is_outdated(engine: Engine) -> bool:
    """Whether it has to be built again: what is merely stale has to be tried again."""
    return any(each.rebuild for each in engine.stale)


def tuned_latency(engine: Engine) -> EngineLatency | None:
    """Of the batch size that it is tuned for, else of the first that was measured."""
    check, recipe = engine.manifest.check, engine.manifest.parts.recipe
    if check is None or not check.latencies:
        return None
    first = check.latencies[0]
    profiles = recipe.profiles if recipe is not None else []
    tuned = {
        ranges.opt[0]
        for ranges in (profiles[first.profile].values() if first.profile < len(profiles) else ())
        if ranges.opt
    }
    same = (each for each in check.latencies if each.profile == first.profile)
    return next((each for each in same if each.batch in tuned), first)


def milliseconds(value: float) -> str:
    """ "0.82 ms", "8.1 ms", "120 ms"."""
    digits = 0 if value >= 100 else 1 if value >= 1 else 2
    return f"{value:.{digits}f} ms"
