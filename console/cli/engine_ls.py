"""`roost engine ls` and `roost engine show`."""

from __future__ import annotations

import time

import click
import msgspec

from agent.protocol.engines import Engine
from agent.protocol.problems import Problem
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument, selector_argument
from console.cli.output import print_json
from console.cli.run import Answer, ask_each, ask_one, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, Column, Row, print_table
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
)
_KEY = 12


class EngineRecord(msgspec.Struct, kw_only=True):
    """An engine on a node as `--json` prints it; `engine` None: the node did not answer."""

    node: str
    problem: Problem | None = None
    engine: Engine | None = None


@click.command("ls")
@selector_argument
@json_option
@click.pass_obj
def ls(setup: Setup, selector: str | None, *, as_json: bool) -> int:
    """List the engines that nodes have built. A workload gets the current one."""
    answers = ask_each(setup, selector, lambda _, client: client.engines.list())
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
    click.echo("\n\n".join("\n".join(_lines(engine)) for engine in engines))
    return 0


def _records(answer: Answer[list[Engine]]) -> list[EngineRecord]:
    if answer.problem is not None:
        return [EngineRecord(node=answer.entry.name, problem=answer.problem.problem())]
    return [EngineRecord(node=answer.entry.name, engine=each) for each in answer.value or ()]


def _row(node: str, engine: Engine) -> Row:
    manifest = engine.manifest
    parts = manifest.parts
    return (
        node,
        engine.model,
        manifest.key[:_KEY],
        "yes" if engine.current else "no",
        f"{_flavour(parts.flavour)} {parts.tensorrt}",
        parts.recipe.precision,
        built_for(engine),
        age(time.time() - manifest.built_at),
        size(manifest.plan_bytes),
    )


def _flavour(flavour: str) -> str:
    return "RTX" if flavour == "tensorrt_rtx" else "TensorRT"


def built_for(engine: Engine) -> str:
    """The GPU, or the compute capabilities that it was built for."""
    parts = engine.manifest.parts
    if parts.gpu is not None:
        return parts.gpu
    named = parts.recipe.compute_capabilities
    return ",".join(f"sm_{each.replace('.', '')}" for each in named) or "any RTX"


def _lines(engine: Engine) -> list[str]:
    manifest = engine.manifest
    parts, recipe = manifest.parts, manifest.parts.recipe
    reason = f": {manifest.verification_reason}" if manifest.verification_reason else ""
    tried = "yes" if manifest.verification == "deserialised" else "no"
    pairs = [
        ("model", engine.model),
        ("key", manifest.key),
        ("current", "yes" if engine.current else "no"),
        ("plan", f"{engine.path}, {size(manifest.plan_bytes)}"),
        ("tried on a GPU", tried + reason),
        ("onnx", f"{recipe.onnx}, sha256 {parts.onnx_sha256[:_KEY]}"),
        *(
            ("  data", f"{name}, sha256 {sha[:_KEY]}")
            for name, sha in parts.external_sha256.items()
        ),
        ("built by", f"{_flavour(parts.flavour)} {parts.tensorrt}"),
        ("built for", built_for(engine)),
        ("precision", "as the model has it" if recipe.precision == "model" else recipe.precision),
        *(
            (f"profile {number}", f"{name} {ranges.min} to {ranges.max}, best at {ranges.opt}")
            for number, profile in enumerate(recipe.profiles, 1)
            for name, ranges in profile.items()
        ),
        (
            "built in",
            f"{manifest.build_seconds:.1f} s, {size(manifest.peak_memory_bytes)} of memory",
        ),
        ("layers", f"{manifest.layers}, {manifest.warnings} warnings"),
        ("driver", manifest.driver_version or "none"),
        ("job", manifest.job),
    ]
    return [clean(f"{name + ':':<16}{value}") for name, value in pairs]
