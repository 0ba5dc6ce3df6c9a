"""Whether an engine is still what would be built now, and whether it may be used."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.protocol.engines import Engine, EngineManifest, EngineParts, Stale
from agent.protocol.gpus import Gpu

# What TensorRT-RTX builds for where no compute capability is named, by its documentation; it does
# not tell itself. Turing has to be named, and data-center GPUs of 9.0 and 10.0 are none of its own.
RTX_GENERAL = frozenset({"8.0", "8.6", "8.9", "12.0", "12.1"})


class Now(msgspec.Struct, kw_only=True, frozen=True):
    """What an engine is compared with. None: not known; `unknown` has the reasons."""

    gpus: Sequence[Gpu]
    driver_version: str | None
    l4t: str | None = None
    power_mode: str | None = None  # of a Jetson
    tensorrt: str | None = None  # that would build it: "tensorrt 10.13.2.6"
    image: str | None = None  # config digest of what its recipe names
    image_gone: bool = False
    changed_files: Sequence[str] = ()
    unknown: Sequence[str] = ()


def stale_reasons(manifest: EngineManifest, now: Now) -> list[Stale]:
    """Each reason, those that want another build first."""
    parts = manifest.parts
    found: list[Stale] = []
    was, was_image = made_with(manifest)
    if now.tensorrt is not None and was_image is None and now.tensorrt != was:
        found.append(Stale(what="tensorrt", rebuild=True, text=f"{was} then, {now.tensorrt} now"))
    if gpu := other_gpu(manifest, now.gpus):
        found.append(gpu)
    if parts.l4t is not None and now.l4t is not None and parts.l4t != now.l4t:
        text = f"Jetson Linux {parts.l4t} then, {now.l4t} now"
        found.append(Stale(what="driver", rebuild=True, text=text))
    if parts.power_mode is not None and now.power_mode not in (None, parts.power_mode):
        text = f"power mode {parts.power_mode} then, {now.power_mode} now"
        found.append(Stale(what="power_mode", rebuild=True, text=text))
    if image := _other_image(was_image, manifest.image_name, now):
        found.append(Stale(what="image", rebuild=True, text=image))
    found += [
        Stale(what="model", rebuild=True, text=f"{path} has changed") for path in now.changed_files
    ]
    if driver := _other_driver(manifest, now.driver_version):
        found.append(Stale(what="driver", rebuild=False, text=driver))
    return found


def made_with(manifest: EngineManifest) -> tuple[str, str | None]:
    """The TensorRT that made it, "tensorrt 10.13.2.6", and the config digest of its image.

    Of an import those that tried it here: what made it may be another, and be far away.
    """
    check, parts = manifest.check, manifest.parts
    if manifest.imported is not None and check is not None and check.tensorrt is not None:
        return check.tensorrt, check.image
    return f"{parts.flavour} {parts.tensorrt}", parts.image


def tried_under(manifest: EngineManifest) -> str | None:
    """The driver that it was last tried under. None: it was not tried on a GPU."""
    if manifest.verification == "header":
        return None
    return manifest.check.driver_version if manifest.check else manifest.driver_version


def why_not_good(manifest: EngineManifest) -> str | None:
    """Why `current` may not point at it, in words; None: it may."""
    recipe = manifest.parts.recipe
    enough = recipe is not None and recipe.validation.iterations == 0
    if manifest.verification == "ran" or (manifest.verification == "deserialised" and enough):
        return None
    loaded = manifest.verification == "deserialised"
    tried = "loaded, and did not run" if loaded else "not tried"
    reason = manifest.verification_reason
    text = f"it was {tried}: {reason}" if reason else f"it was {tried}"
    if loaded and recipe is not None:
        text += " (validation: {iterations: 0} in its recipe takes being loaded for enough)"
    return text


def why_not_usable(engine: Engine) -> str | None:
    """`why_not_good`, here and now: an engine for another GPU is not."""
    for each in engine.stale:
        if each.what == "gpu":
            return each.text
        if each.what == "driver":
            return f"it was last tried under another driver: {each.text}"
    return why_not_good(engine.manifest)


def next_in_use(
    engines: Sequence[Engine], without: str, gpus: Sequence[Gpu], driver_version: str | None
) -> Engine | None:
    """Which engine to go back to when that of a key turned out bad: the newest that may be used.

    Args:
        engines: of one model, newest first.
    """
    now = Now(gpus=gpus, driver_version=driver_version)
    for engine in engines:
        there = msgspec.structs.replace(engine, stale=stale_reasons(engine.manifest, now))
        if engine.manifest.key != without and why_not_usable(there) is None:
            return engine
    return None


def same_gpu(parts: EngineParts, gpu: Gpu) -> bool:
    """Whether it is of the model that an engine was built on."""
    return (gpu.name, gpu.compute_capability, gpu.memory_total_bytes) == (
        parts.gpu,
        parts.compute_capability,
        parts.gpu_memory_bytes,
    )


def other_gpu(manifest: EngineManifest, gpus: Sequence[Gpu]) -> Stale | None:
    """That an engine was not built for any of these GPUs, or was tried on none like them."""
    if text := _built_for_another(manifest.parts, gpus):
        return Stale(what="gpu", rebuild=True, text=text)
    if text := _tried_on_another(manifest, gpus):
        return Stale(what="gpu", rebuild=False, text=text)
    return None


def _built_for_another(parts: EngineParts, gpus: Sequence[Gpu]) -> str | None:
    if not gpus:
        return f"built on {parts.gpu}, no GPU is here now" if parts.gpu else None
    here = ", ".join(sorted({gpu.name for gpu in gpus}))
    if parts.gpu is not None:
        if any(same_gpu(parts, gpu) for gpu in gpus):
            return None
        if parts.gpu == here:
            return f"built on another {parts.gpu}: its memory or compute capability differs"
        return f"built on {parts.gpu}, here is {here}"
    if parts.recipe is None:
        return None  # it was imported: what it was tried on tells
    named, have = parts.recipe.compute_capabilities, _capabilities(gpus)
    if not have or have & (set(named) or RTX_GENERAL):
        return None
    if named:
        return f"built for {', '.join(named)}, here is {', '.join(sorted(have))}"
    only = ", ".join(sorted(have))
    return f"built for RTX GPUs in general; {only} has to be named in compute_capabilities"


def _tried_on_another(manifest: EngineManifest, gpus: Sequence[Gpu]) -> str | None:
    """One that is for several kinds of GPU says nothing of those that it was not tried on."""
    check, have = manifest.check, _capabilities(gpus)
    tried = check.compute_capability if check is not None else None
    if tried is None or manifest.verification == "header" or not have or tried in have:
        return None
    return f"tried on a GPU of {tried}, here is {', '.join(sorted(have))}"


def _capabilities(gpus: Sequence[Gpu]) -> set[str]:
    return {gpu.compute_capability for gpu in gpus if gpu.compute_capability}


def _other_image(before: str | None, name: str | None, now: Now) -> str | None:
    if before is None:
        return None
    if now.image_gone:
        return f"the image {name or before[:19]} is not here any more"
    if now.image is None or now.image == before:
        return None
    return f"image {before[:19]} then, {now.image[:19]} now"


def _other_driver(manifest: EngineManifest, driver: str | None) -> str | None:
    """The whole version: engines have failed over a driver's patch, and trying one is cheap."""
    before = tried_under(manifest)
    if before is None or driver is None or before == driver:
        return None
    return f"driver {before} then, {driver} now"
