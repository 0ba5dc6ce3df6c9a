"""Everything about one engine, as lines to read."""

from __future__ import annotations

from collections.abc import Iterator

from agent.protocol.engine_figures import EngineLatency, GraphLatency
from agent.protocol.engines import Engine
from console.engines.words import (
    built_for,
    built_with,
    milliseconds,
    precision,
    short_key,
    tensorrt,
    tried,
)
from console.text import plural
from console.tui.look import words
from console.tui.moments import moment
from console.tui.widgets.page import Entry

_LABEL = 10
_Line = tuple[str, str, str]


def engine_entries(engine: Engine, clock_offset_seconds: float) -> list[Entry]:
    """What it is, how far it was tried, what it was built from and how."""
    lines = [*_what(engine), *_tried(engine), *_from(engine, clock_offset_seconds)]
    return [Entry(f"{label:<{_LABEL}}", text, tone) for label, text, tone in lines]


def _what(engine: Engine) -> Iterator[_Line]:
    manifest = engine.manifest
    yield "key", manifest.key, "accent"
    yield "state", "in use" if engine.current else "kept, not in use", ""
    if engine.used_by:
        yield "had by", ", ".join(engine.used_by), ""
    for stale in engine.stale:
        yield "stale", f"{stale.text}: {'build' if stale.rebuild else 'try'} it again", "warn"
    for unknown in engine.stale_unknown:
        yield "unknown", unknown, "dim"
    yield "plan", f"{engine.path}, {words.size(manifest.plan_bytes)}", ""


def _tried(engine: Engine) -> Iterator[_Line]:
    manifest = engine.manifest
    reason = f": {manifest.verification_reason}" if manifest.verification_reason else ""
    done = tried(engine)
    tone = "warn" if done == "no" else "good"
    yield "on a GPU", ("not tried" if done == "no" else done) + reason, tone
    check = manifest.check
    if check is None:
        return
    for each in check.latencies:
        batch = "" if each.batch is None else f"batch {each.batch}: "
        yield "latency", batch + _times(each), ""
        if each.graph is not None:
            yield "as graph", batch + _times(each.graph), ""
        elif each.no_graph is not None:
            yield "as graph", f"{batch}not possible: {each.no_graph}", "warn"
    memory = check.gpu_memory
    if memory is not None:
        of_engine = words.size(memory.engine_bytes)
        used = f"{words.size(memory.before_bytes)} before, {words.size(memory.after_bytes)} after"
        yield "memory", f"{used}; {of_engine} more with the engine", ""
    if check.compared is not None:
        same = "alike" if check.compared.ok else "not alike"
        told = f": {check.compared.reason}" if check.compared.reason else ""
        yield "outputs", f"{same}, beside {check.compared.with_}{told}", ""
    elif check.not_compared:
        yield "outputs", f"not compared: {check.not_compared}", ""


def _times(figures: EngineLatency | GraphLatency) -> str:
    p50, p99 = milliseconds(figures.p50_ms), milliseconds(figures.p99_ms)
    return f"p50 {p50}, p99 {p99}, {figures.throughput:.0f} a second"


def _from(engine: Engine, offset: float) -> Iterator[_Line]:
    manifest = engine.manifest
    parts, recipe = manifest.parts, manifest.parts.recipe
    at, took = moment(manifest.built_at - offset), words.age(manifest.build_seconds)
    yield "built", f"{at}, in {took}", ""
    image = "" if parts.image is None else f" of image {parts.image}"
    memory = words.size(manifest.peak_memory_bytes)
    yield "by", f"{tensorrt(engine)}{image}, with {memory} of memory", ""
    yield "for", built_for(engine), ""
    yield "driver", manifest.driver_version or "none", ""
    if manifest.imported is not None:
        yield "imported", manifest.imported, ""
    if manifest.shared_from is not None:
        yield "from", f"{manifest.shared_from}, which had its plan", ""
    if recipe is not None:
        yield "onnx", f"{recipe.onnx}, sha256 {short_key(parts.onnx_sha256 or '')}", ""
        for name, digest in parts.external_sha256.items():
            yield "", f"{name}, sha256 {short_key(digest)}", ""
        asked = precision(engine)
        yield "precision", "as the model has it" if asked == "model" else asked, ""
        if more := built_with(engine):
            yield "with", more, ""
        for number, profile in enumerate(recipe.profiles, 1):
            for name, ranges in profile.items():
                text = f"{name} {ranges.min} to {ranges.max}, best at {ranges.opt}"
                yield f"profile {number}", text, ""
    if manifest.layers is not None:
        warned = plural(manifest.warnings, "warning")
        yield "network", f"{plural(manifest.layers, 'layer')}, {warned}", ""
    yield "job", manifest.job, ""
