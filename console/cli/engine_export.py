"""`roost engine export`: engines of nodes as Triton model repositories on this machine."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from agent.protocol.engines import Engine
from agent.protocol.problems import Problem, ProblemError
from console.cli.engine_options import key_callback, model_argument
from console.cli.engine_options import milliseconds as read_milliseconds
from console.cli.live_lines import LiveLines
from console.cli.nodes import all_nodes, selected_nodes
from console.cli.options import complete_selector, json_option
from console.cli.output import print_json, say
from console.cli.run import Answer, ask_nodes, conclude
from console.cli.setup import Setup
from console.engines.triton_config import TritonConfig, triton_config
from console.engines.triton_repository import Alike, by_key, check_place, several, write_model
from console.engines.words import built_for, short_key, tensorrt
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.text import clean, size

T = TypeVar("T")


class ExportRecord(msgspec.Struct, kw_only=True):
    """A model's folder as `--json` prints it."""

    model: str
    nodes: list[str]  # that have this engine; the plan is the first one's
    key: str
    plan_sha256: str
    plan_bytes: int
    built_for: str
    tensorrt: str
    folder: str | None  # None: it was not written
    max_batch_size: int
    preferred_batch_sizes: list[int]
    max_queue_delay_us: int | None
    notes: list[str]
    problem: Problem | None = None


class _Wanted(msgspec.Struct, kw_only=True):
    alike: Alike
    config: TritonConfig
    repository: Path


@click.command("export")
@click.argument("where", metavar="NODE|SELECTOR", shell_complete=complete_selector)
@model_argument
@click.option(
    "--triton",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The model repository: DIR/MODEL is written.",
)
@click.option(
    "--key",
    metavar="KEY",
    callback=key_callback,
    help="The start of its key; without, the one in use.",
)
@click.option(
    "--each", is_flag=True, help="A repository for each engine: DIR/GPU-KEY/MODEL is written."
)
@click.option(
    "--max-queue-delay",
    metavar="TIME",
    help="As 500us: how long a request waits for others; without, half as long as a run takes.",
)
@click.option("--force", is_flag=True, help="Replace a model's folder that is there.")
@json_option
@click.pass_obj
def command(
    setup: Setup,
    where: str,
    model: str,
    folder: Path,
    key: str | None,
    max_queue_delay: str | None,
    *,
    each: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Write the engine of MODEL that a node has as a model repository of Triton Inference Server.

    config.pbtxt says what goes in and comes out, and how requests are put together, as the
    engine's profiles allow. Where nodes have different engines nothing is written: each wants a
    repository of its own (--each). Nothing changes on the nodes.
    """
    delay_us = None if max_queue_delay is None else _microseconds(max_queue_delay)
    entries = _nodes(setup, where)
    answers = ask_nodes(setup, entries, _finder(model, key))
    groups = by_key([(answer.entry, answer.value) for answer in answers if answer.value])
    if len(groups) > 1 and not each:
        raise several(groups, model)
    wanted = [
        _Wanted(
            alike=alike,
            config=triton_config(alike.engine, delay_us=delay_us),
            repository=folder / alike.folder if each else folder,
        )
        for alike in groups
    ]
    for one in wanted:
        size_bytes = one.alike.engine.manifest.plan_bytes
        check_place(one.repository, model, size_bytes, force=force)
    wrote = [_write(setup, one) for one in wanted]
    records = [_record(one, answer) for one, answer in zip(wanted, wrote, strict=True)]
    if as_json:
        print_json(records)
    else:
        for record in records:
            _tell(record)
    return conclude([*_ends([each for each in answers if each.problem]), *_ends(wrote)])


def _ends(answers: Sequence[Answer[T]]) -> list[Answer[None]]:
    """How it ended, whatever was answered."""
    return [Answer(each.entry, problem=each.problem) for each in answers]


def _nodes(setup: Setup, where: str) -> list[NodeEntry]:
    """A word that is a node's name means that node. Raises `settings.*`, `fleet.*`."""
    found = [entry for entry in all_nodes(setup) if entry.name == where]
    return found or selected_nodes(setup, where)


def _finder(model: str, key: str | None) -> Callable[[NodeEntry, NodeClient], Awaitable[Engine]]:
    """Of a node, the engine in use, or the one whose key begins so."""

    async def find(_: NodeEntry, client: NodeClient) -> Engine:
        there = await client.engines.show(model)
        if key is None:
            found = [engine for engine in there if engine.current]
        else:
            found = [engine for engine in there if engine.manifest.key.startswith(key)]
        if len(found) == 1:
            return found[0]
        keys = ", ".join(short_key(engine.manifest.key) for engine in there)
        if key is None:
            text = f"no engine of {model} is in use; there is {keys}"
        else:
            text = f"{len(found)} engines of {model} begin with {key}; there is {keys}"
        raise ProblemError(
            "engine.ambiguous" if found else "engine.not_found",
            text,
            params={"model": model},
            hint="Say which one: --key KEY",
        )

    return find


class _Reading(LiveLines):
    """How much of a plan has come."""

    def __init__(self, alike: Alike) -> None:
        super().__init__()
        self._alike, self._came, self._since = alike, 0, time.monotonic()

    def heard(self, count: int) -> None:
        self._came = count

    def lines(self, room: int) -> list[str]:
        return [self.total()]

    def total(self) -> str:
        whole = self._alike.engine.manifest.plan_bytes
        took = time.monotonic() - self._since
        speed = f", {size(round(self._came / took))}/s" if took >= 1 else ""
        node = self._alike.nodes[0][0].name
        return f"{node}: {size(self._came)} of {size(whole)}{speed}"

    def news(self) -> list[tuple[str, str]]:
        return []


def _write(setup: Setup, wanted: _Wanted) -> Answer[Path]:
    entry, engine = wanted.alike.nodes[0]
    reading = _Reading(wanted.alike)

    async def work(_: NodeEntry, client: NodeClient) -> Path:
        async with reading:
            return await write_model(
                client, engine, wanted.config, wanted.repository, heard=reading.heard
            )

    (answer,) = ask_nodes(setup, [entry], work)
    return answer


def _record(wanted: _Wanted, answer: Answer[Path]) -> ExportRecord:
    engine, config = wanted.alike.engine, wanted.config
    return ExportRecord(
        model=engine.model,
        nodes=[entry.name for entry, _ in wanted.alike.nodes],
        key=engine.manifest.key,
        plan_sha256=engine.manifest.plan_sha256,
        plan_bytes=engine.manifest.plan_bytes,
        built_for=built_for(engine),
        tensorrt=tensorrt(engine),
        folder=None if answer.value is None else str(answer.value),
        max_batch_size=config.max_batch_size,
        preferred_batch_sizes=[*config.preferred],
        max_queue_delay_us=config.delay_us,
        notes=[*config.notes],
        problem=answer.problem.problem() if answer.problem else None,
    )


def _tell(record: ExportRecord) -> None:
    if record.folder is None:
        return
    click.echo(clean(f"{record.folder}  {short_key(record.key)}  {size(record.plan_bytes)}"))
    click.echo(clean(f"for {record.built_for}, by {record.tensorrt}: {', '.join(record.nodes)}"))
    if record.max_batch_size:
        parts = [f"batches up to {record.max_batch_size}"]
        if record.preferred_batch_sizes:
            parts.append(f"best {', '.join(map(str, record.preferred_batch_sizes))}")
        if record.max_queue_delay_us is not None:
            parts.append(f"a request waits {record.max_queue_delay_us} us for others")
        click.echo("; ".join(parts))
    for note in record.notes:
        say(f"note: {note}")


def _microseconds(text: str) -> int:
    """Raises ProblemError `console.usage`."""
    how = "how long a request may wait for others: --max-queue-delay 500us"
    return max(round(read_milliseconds(text, how=how) * 1000), 1)
