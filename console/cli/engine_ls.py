"""`roost engine ls` and `roost engine show`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
import msgspec

from agent.protocol.engines import Engine
from agent.protocol.problems import Problem
from agent.rules.engine_use import in_use
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument, selector_argument
from console.cli.output import print_json
from console.cli.run import Answer, ask_each, ask_one, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, Column, Row, print_table
from console.engines.words import (
    built_for,
    built_with,
    milliseconds,
    precision,
    short_key,
    tensorrt,
    tried,
    why_stale,
)
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.text import age, clean, size

_COLUMNS = (
    NODE,
    Column("MODEL", least=12),
    Column("KEY"),
    Column("CURRENT"),
    Column("TENSORRT", least=12),
    Column("PRECISION", keep=5),
    Column("FOR", least=8),
    Column("AGE", keep=6, right=True),
    Column("SIZE", keep=6, right=True),
    Column("FROM", keep=7, least=8),
    Column("STALE", least=12),
)


class EngineRecord(msgspec.Struct, kw_only=True):
    """An engine on a node as `--json` prints it; `engine` None: the node did not answer."""

    node: str
    problem: Problem | None = None
    engine: Engine | None = None


@click.command("ls")
@selector_argument
@click.option("--stale", is_flag=True, help="Only those in use that would be built otherwise now.")
@json_option
@click.pass_obj
def ls(setup: Setup, selector: str | None, *, stale: bool, as_json: bool) -> int:
    """List the engines that nodes have. A workload gets the current one when it is deployed, and
    keeps it until it is deployed again.

    An engine is stale where TensorRT, GPU, image, model or driver are not as they were when it
    was built; roost engine build --stale builds those again. Where none is in use, the newest
    counts.
    """

    async def ask(_: NodeEntry, client: NodeClient) -> list[Engine]:
        engines = await client.engines.list()
        return [each for each in in_use(engines) if each.stale] if stale else engines

    answers = ask_each(setup, selector, ask)
    if as_json:
        print_json([record for answer in answers for record in _records(answer)])
    else:
        print_table(
            _COLUMNS,
            [_row(answer.entry.name, each) for answer in answers for each in answer.value or ()],
        )
    return conclude(answers)


@click.command("show")
@node_argument
@click.argument("model")
@json_option
@click.pass_obj
def show(setup: Setup, node: str, model: str, *, as_json: bool) -> int:
    """Say what the engines of MODEL on NODE were built from, how, and how far they were tried."""
    entry = one_node(setup, node)
    engines = ask_one(setup, entry.name, lambda _, client: client.engines.show(model))
    if as_json:
        print_json(engines)
        return 0
    click.echo("\n\n".join("\n".join(about(engine)) for engine in engines))
    return 0


def _records(answer: Answer[list[Engine]]) -> list[EngineRecord]:
    if answer.problem is not None:
        return [EngineRecord(node=answer.entry.name, problem=answer.problem.problem())]
    return [EngineRecord(node=answer.entry.name, engine=each) for each in answer.value or ()]


def _row(node: str, engine: Engine) -> Row:
    manifest = engine.manifest
    return (
        node,
        engine.model,
        short_key(manifest.key),
        "yes" if engine.current else "no",
        tensorrt(engine),
        precision(engine),
        built_for(engine),
        age(time.time() - manifest.built_at),
        size(manifest.plan_bytes),
        manifest.shared_from or "",
        why_stale(engine),
    )


def about(engine: Engine) -> list[str]:
    """All that `show` says of it, as lines."""
    manifest = engine.manifest
    parts, recipe = manifest.parts, manifest.parts.recipe
    reason = f": {manifest.verification_reason}" if manifest.verification_reason else ""
    done = tried(engine)
    pairs = [
        ("model", engine.model),
        ("key", manifest.key),
        ("current", "yes" if engine.current else "no"),
        *([("had by", ", ".join(engine.used_by))] if engine.used_by else []),
        *(("stale", each.text) for each in engine.stale),
        *(("unknown", each) for each in engine.stale_unknown),
        ("plan", f"{engine.path}, {size(manifest.plan_bytes)}"),
        ("tried on a GPU", done + reason),
    ]
    pairs += _seen(engine)
    if recipe is not None:
        pairs.append(("onnx", f"{recipe.onnx}, sha256 {short_key(parts.onnx_sha256 or '')}"))
    pairs += [
        ("  data", f"{name}, sha256 {short_key(sha)}")
        for name, sha in parts.external_sha256.items()
    ]
    asked = precision(engine)
    pairs += [
        ("built by", tensorrt(engine)),
        ("built for", built_for(engine)),
        ("precision", "as the model has it" if asked == "model" else asked),
    ]
    if more := built_with(engine):
        pairs.append(("built with", more))
    if recipe is not None:
        pairs += [
            (f"profile {number}", f"{name} {ranges.min} to {ranges.max}, best at {ranges.opt}")
            for number, profile in enumerate(recipe.profiles, 1)
            for name, ranges in profile.items()
        ]
    if manifest.imported is not None:
        pairs.append(("imported", manifest.imported))
    if manifest.shared_from is not None:
        pairs.append(("shared from", manifest.shared_from))
    layers = "unknown" if manifest.layers is None else str(manifest.layers)
    pairs += [
        (
            "built in",
            f"{manifest.build_seconds:.1f} s, {size(manifest.peak_memory_bytes)} of memory",
        ),
        ("layers", f"{layers}, {manifest.warnings} warnings"),
        ("driver", manifest.driver_version or "none"),
        ("job", manifest.job),
    ]
    return [clean(f"{name + ':':<16}{value}") for name, value in pairs]


def _seen(engine: Engine) -> Iterator[tuple[str, str]]:
    """What was found when it was tried."""
    check = engine.manifest.check
    if check is None:
        return
    for each in check.latencies:
        batch = "" if each.batch is None else f"batch {each.batch}: "
        times = f"p50 {milliseconds(each.p50_ms)}, p99 {milliseconds(each.p99_ms)}"
        yield "latency", f"{batch}{times}, {each.throughput:.0f} items/s"
        if each.graph is not None:
            times = f"p50 {milliseconds(each.graph.p50_ms)}, p99 {milliseconds(each.graph.p99_ms)}"
            yield "  as a graph", f"{batch}{times}, {each.graph.throughput:.0f} items/s"
        elif each.no_graph is not None:
            yield "  as a graph", f"{batch}not possible: {each.no_graph}"
    memory = check.gpu_memory
    if memory is not None:
        used = f"{size(memory.before_bytes)} before, {size(memory.after_bytes)} after"
        yield "GPU memory", f"{used}; {size(memory.engine_bytes)} more with the engine"
    if check.compared is not None:
        alike = "alike" if check.compared.ok else "not alike"
        reason = f": {check.compared.reason}" if check.compared.reason else ""
        yield "outputs", f"{alike}, beside {check.compared.with_}{reason}"
    elif check.not_compared:
        yield "outputs", f"not compared: {check.not_compared}"
