"""`roost engine bench`: which batch size and precision, measured on the node."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from agent.protocol.engine_figures import BenchRow, EngineBench, Precision
from agent.protocol.engines import BenchRequest
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from console.cli.consent import consent
from console.cli.deploying import Following
from console.cli.engine_options import batches as read_batches
from console.cli.engine_options import gpu_option
from console.cli.engine_options import milliseconds as read_milliseconds
from console.cli.engine_recipe import read_recipe
from console.cli.failures import FAILED
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument, yes_option
from console.cli.output import print_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.cli.table import UNKNOWN, Column, print_table
from console.engines.words import milliseconds
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.text import age, clean, size

_COLUMNS = (
    Column("", keep=9),
    Column("PRECISION"),
    Column("BATCH", right=True),
    Column("ITEMS/S", right=True),
    Column("P50", right=True),
    Column("P99", right=True),
    Column("GPU MEMORY", keep=7, right=True),
    Column("ENGINE", keep=7, right=True),
    Column("BUILT IN", keep=6, right=True),
    Column("WHY NOT", least=12),
)
# Beside those of the engine as it is, after P99.
_OF_GRAPHS = (
    Column("GRAPH ITEMS/S", right=True),
    Column("GRAPH P50", right=True),
    Column("GRAPH P99", right=True),
)
_P99 = 6
# As people call it; the ONNX of an fp32 model has that.
_AS_IT_IS = {"fp32": "model"}
_PRECISIONS: tuple[Precision, ...] = ("model", "fp16", "bf16", "int8", "fp8", "best")


@click.command("bench")
@node_argument
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--batch", "batch", default="1,4,8,16,32", show_default=True, metavar="N,...")
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    metavar="P,...",
    help="fp32 (as the model has it), fp16, bf16, int8, fp8, best.",
)
@click.option("--cuda-graphs", is_flag=True, help="Measure each as a CUDA graph, too.")
@click.option("--max-latency", metavar="TIME", help="As 20ms: recommend none whose p99 is longer.")
@gpu_option
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    node: str,
    recipe: Path,
    batch: str,
    precision: str,
    max_latency: str | None,
    gpu: str | None,
    *,
    cuda_graphs: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Build the engine of RECIPE for each batch size and precision on NODE, and measure it.

    What is built is thrown away again; the engine in use stays. The GPU is busy meanwhile. The
    exit code is 1 where nothing could be measured.
    """
    setup.refuse_changes("engine bench")
    entry = one_node(setup, node)
    request = BenchRequest(
        recipe=read_recipe(recipe),
        gpu=gpu,
        batches=read_batches(batch),
        precisions=_precisions(precision),
        max_latency_ms=None if max_latency is None else read_milliseconds(max_latency),
        cuda_graphs=cuda_graphs,
    )
    consent([entry], f"measure engines of {request.recipe.model}", yes=yes)
    bench = _measure(setup, entry, request)
    if as_json:
        print_json(bench)
    else:
        show(bench)
    return 0 if any(row.throughput is not None for row in bench.rows) else FAILED


def _measure(setup: Setup, entry: NodeEntry, request: BenchRequest) -> EngineBench:
    following = Following()

    async def work(_: NodeEntry, client: NodeClient) -> EngineBench:
        job: Job = await client.engines.bench(request, secrets.token_hex(16))
        await following.see(entry.name, client, job)
        return await client.engines.show_bench(job.id)

    with following.told():
        return ask_one(setup, entry.name, work)


def _precisions(text: str) -> list[Precision]:
    """Raises ProblemError `console.usage`."""
    wanted = [_AS_IT_IS.get(part.strip(), part.strip()) for part in text.split(",")]
    found = [each for part in wanted for each in _PRECISIONS if each == part]
    if len(found) != len(wanted):
        raise ProblemError(
            "console.usage",
            f"{text[:60]!r} is not a list of precisions",
            hint="There are fp32, fp16, bf16, int8, fp8 and best, with commas between them.",
        )
    return found


def show(bench: EngineBench) -> None:
    """The table, and which of them is recommended."""
    graphs = bench.cuda_graphs
    print_table(
        (*_COLUMNS[:_P99], *(_OF_GRAPHS if graphs else ()), *_COLUMNS[_P99:]),
        [
            _row(row, recommended=n == bench.recommended, graphs=graphs)
            for n, row in enumerate(bench.rows)
        ],
    )
    where = f" on {bench.gpu}" if bench.gpu else ""
    flavour = "RTX" if bench.flavour == "tensorrt_rtx" else "TensorRT"
    say(f"{bench.model} with {flavour} {bench.tensorrt}{where}")
    if bench.fixed_batch is not None:
        say(f"its batch is fixed at {bench.fixed_batch}: other sizes want another model or profile")
    if bench.recommended is None:
        say(f"none is recommended: {bench.why}")
        return
    row = bench.rows[bench.recommended]
    click.echo(clean(f"recommended: precision {_name(row)}, batch {row.batch}: {bench.why}"))


def _row(row: BenchRow, *, recommended: bool, graphs: bool) -> tuple[str, ...]:
    why_not = [row.reason] if row.reason else []
    if row.no_graph is not None:
        why_not.append(f"no CUDA graph: {row.no_graph}")
    return (
        "*" if recommended else " ",
        _name(row),
        str(row.batch),
        *_figures(row.throughput, row.p50_ms, row.p99_ms),
        *(_graph_figures(row) if graphs else ()),
        size(row.gpu_memory_bytes),
        size(row.plan_bytes),
        age(row.build_seconds),
        "; ".join(why_not),
    )


def _graph_figures(row: BenchRow) -> tuple[str, ...]:
    if row.graph is None:
        return _figures(None, None, None)
    return _figures(row.graph.throughput, row.graph.p50_ms, row.graph.p99_ms)


def _figures(
    throughput: float | None, p50_ms: float | None, p99_ms: float | None
) -> tuple[str, ...]:
    return (
        UNKNOWN if throughput is None else f"{throughput:.0f}",
        UNKNOWN if p50_ms is None else milliseconds(p50_ms),
        UNKNOWN if p99_ms is None else milliseconds(p99_ms),
    )


def _name(row: BenchRow) -> str:
    return "as the model" if row.precision == "model" else row.precision
