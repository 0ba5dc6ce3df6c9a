"""An engine as Triton's TensorRT backend is told of it: the text of its config.pbtxt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from agent.protocol.engine_figures import EngineCheck, EngineTensor, EngineTensors
from agent.protocol.engines import Engine
from agent.protocol.problems import ProblemError
from console.engines.words import built_for, short_key, tensorrt, tuned_latency, why_stale
from console.text import clean

# TensorRT's names of types, and Triton's.
TYPES = {
    "float": "TYPE_FP32",
    "half": "TYPE_FP16",
    "bf16": "TYPE_BF16",
    "int8": "TYPE_INT8",
    "uint8": "TYPE_UINT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
}
# How long a request waits for others where no run of the engine was measured.
DELAY_US = 100
_Ranges = Mapping[str, Sequence[Sequence[int]]]


class TritonConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`max_batch_size` 0: Triton does not batch; `notes` say why, and what else is to be known."""

    text: str
    max_batch_size: int
    preferred: Sequence[int] = ()
    delay_us: int | None = None
    notes: Sequence[str] = ()


def triton_config(engine: Engine, *, delay_us: int | None = None) -> TritonConfig:
    """What Triton is told of it.

    Args:
        delay_us: how long a request may wait for others; None: half as long as a run takes of the
            batch that the engine is tuned for, or DELAY_US where that was not measured.

    Raises:
        ProblemError: `engine.no_triton`.
    """
    check, tensors = _known(engine)
    limit, why_not = batch_limit(check, tensors)
    notes = [f"Triton does not batch: {why_not}"] if why_not else []
    preferred: list[int] = []
    wait = None
    if limit > 1:
        preferred = sorted({size for size in _tuned(tensors) if 1 < size <= limit})
        wait = _delay(engine) if delay_us is None else delay_us
    if engine.manifest.verification != "ran":
        reason = engine.manifest.verification_reason
        notes.append("it was loaded and not run" + (f": {reason}" if reason else ""))
    recipe = engine.manifest.parts.recipe
    if recipe is not None and recipe.version_compatible:
        notes.append(
            "it is version-compatible: start Triton with"
            " --backend-config=tensorrt,version-compatible=true"
        )
    if stale := why_stale(engine):
        notes.append(f"it is stale: {stale}")
    lines = _lines(engine, tensors, limit, preferred, wait)
    return TritonConfig(
        text="\n".join(lines) + "\n",
        max_batch_size=limit,
        preferred=preferred,
        delay_us=wait,
        notes=notes,
    )


def batch_limit(check: EngineCheck, tensors: EngineTensors) -> tuple[int, str | None]:
    """The most items that Triton may put together; 0, and why, where it must leave requests alone.

    It puts them together along the first size of all inputs and outputs, in any number from one
    to the most: an engine must take each of them.
    """
    for tensor in (*tensors.inputs, *tensors.outputs):
        if not tensor.shape or tensor.shape[0] != -1:
            return 0, f"the first size of {tensor.name!r} does not vary"
    if check.latencies and check.outputs:
        batch = check.latencies[0].batch  # of the run whose outputs were kept
        for output in check.outputs:
            if batch is not None and output.shape[:1] != [batch]:
                return 0, f"the first size of {output.name!r} is not that of the batch"
    limits = []
    for found in _alike(tensors.profiles):
        if found is None:
            return 0, "its inputs have different first sizes"
        most = 0
        for smallest, largest in sorted(found):
            if smallest > most + 1:
                break
            most = max(most, largest)
        if most < max(largest for _, largest in found):
            taken = ", ".join(f"{low} to {high}" for low, high in sorted(found))
            return 0, f"its batch is not anything from 1 up: {taken}"
        limits.append(most)
    return (min(limits), None) if limits else (0, "it has no inputs")


def _alike(profiles: Sequence[_Ranges]) -> Iterator[list[tuple[int, int]] | None]:
    """Smallest and largest batch of profiles whose other sizes are the same; None: not one batch.

    Of others each has a limit of its own, since Triton puts together whatever has one shape.
    """
    groups: dict[str, list[tuple[int, int]]] = {}
    for profile in profiles:
        batches = {(smallest[0], largest[0]) for smallest, _, largest in profile.values()}
        if len(batches) != 1:
            yield None
            return
        rest = {name: (low[1:], high[1:]) for name, (low, _, high) in sorted(profile.items())}
        groups.setdefault(repr(rest), []).extend(batches)
    yield from groups.values()


def _known(engine: Engine) -> tuple[EngineCheck, EngineTensors]:
    """How it was tried, and its tensors, all of which Triton can take."""
    manifest, model = engine.manifest, engine.model
    if manifest.parts.flavour != "tensorrt":
        raise _refused(
            engine,
            f"it is of {tensorrt(engine)}, and Triton's TensorRT backend runs only TensorRT's own",
            "Build it with an image that has TensorRT (executor: container), and export that.",
        )
    check = manifest.check
    if check is None or check.tensors is None:
        raise _refused(
            engine,
            "what goes into it and comes out is not known: it was not loaded since this agent"
            " keeps that",
            f"Try it, which finds out: roost engine verify NODE {model} --key"
            f" {short_key(manifest.key)}",
        )
    for tensor in (*check.tensors.inputs, *check.tensors.outputs):
        if why := _odd(tensor):
            raise _refused(
                engine,
                f"{tensor.name!r} {why}",
                "Export the model anew without it, or write its config.pbtxt by hand.",
            )
    return check, check.tensors


def _odd(tensor: EngineTensor) -> str | None:
    if tensor.host:
        return "is a shape tensor, whose values Triton would have to know"
    if not tensor.linear:
        return "is not laid out linearly"
    if not tensor.shape:
        return "has no dimensions, and Triton has no such tensors"
    if tensor.dtype not in TYPES:
        return f"is of type {tensor.dtype}, which Triton does not have"
    return None


def _tuned(tensors: EngineTensors) -> list[int]:
    return [best[0] for profile in tensors.profiles for _, best, _ in profile.values()]


def _delay(engine: Engine) -> int:
    measured = tuned_latency(engine)
    return DELAY_US if measured is None else max(round(measured.p50_ms * 1000 / 2), 1)


def _lines(
    engine: Engine,
    tensors: EngineTensors,
    limit: int,
    preferred: Sequence[int],
    delay_us: int | None,
) -> Iterator[str]:
    manifest = engine.manifest
    yield clean(f"# Engine {manifest.key}")
    yield clean(
        f"# for {built_for(engine)}, by {tensorrt(engine)}: no other GPU, no other TensorRT."
    )
    yield f"name: {quoted(engine.model)}"
    yield 'platform: "tensorrt_plan"'
    yield 'backend: "tensorrt"'
    yield f"max_batch_size: {limit}"
    for kind, each in (("input", tensors.inputs), ("output", tensors.outputs)):
        for tensor in each:
            yield from _tensor(kind, tensor, batched=limit > 0)
    if delay_us is not None:
        yield "dynamic_batching {"
        if preferred:
            yield f"  preferred_batch_size: [ {', '.join(map(str, preferred))} ]"
        yield f"  max_queue_delay_microseconds: {delay_us}"
        yield "}"
    recipe = manifest.parts.recipe
    dla = None if recipe is None else recipe.dla
    if len(tensors.profiles) > 1 or dla is not None:
        yield "instance_group {"
        yield "  kind: KIND_GPU"
        if len(tensors.profiles) > 1:
            names = ", ".join(f'"{number}"' for number in range(len(tensors.profiles)))
            yield f"  profile: [ {names} ]"
        if dla is not None:
            yield f"  secondary_devices {{ kind: KIND_NVDLA device_id: {dla.core} }}"
        yield "}"
    yield "version_policy { latest { num_versions: 1 } }"


def _tensor(kind: str, tensor: EngineTensor, *, batched: bool) -> Iterator[str]:
    dims = tensor.shape[1:] if batched else tensor.shape
    yield f"{kind} {{"
    yield f"  name: {quoted(tensor.name)}"
    yield f"  data_type: {TYPES[tensor.dtype]}"
    # Of the batch alone: Triton has no empty dims, and takes off again what it has instead.
    yield f"  dims: [ {', '.join(map(str, dims or [1]))} ]"
    if not dims:
        yield "  reshape { shape: [ ] }"
    yield "}"


def quoted(text: str) -> str:
    """As a string of protobuf's text format."""
    return '"' + "".join(map(_escaped, text.encode())) + '"'


def _escaped(byte: int) -> str:
    plain = 0x20 <= byte < 0x7F and byte not in b'"\\'
    return chr(byte) if plain else f"\\{byte:03o}"


def _refused(engine: Engine, why: str, hint: str) -> ProblemError:
    key = engine.manifest.key
    return ProblemError(
        "engine.no_triton",
        f"engine {short_key(key)} of {engine.model}: {why}",
        params={"model": engine.model, "key": key},
        hint=hint,
    )
