"""`roost image build`: images of the matrix, built by a runtime."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from agent.protocol.problems import Problem, ProblemError
from console.builds.building import Build, Wanted
from console.builds.context import render, wheels
from console.builds.lock import FILE as LOCK_FILE
from console.builds.lock import Lock, LockedVariant, difference, read_lock, record, short
from console.builds.matrix import FILE, Matrix, read_matrix
from console.cli.consent import consent
from console.cli.failures import tell
from console.cli.nodes import one_node
from console.cli.options import complete_node, json_option, yes_option
from console.cli.output import print_json, say
from console.cli.own_agent import (
    CONFIG,
    agent_yaml,
    own_agent,
    runtime_settings,
    short_place,
    until_ready,
)
from console.cli.run import links
from console.cli.setup import Setup
from console.cli.table import UNKNOWN, Column, print_table
from console.fleet.inventory import NodeEntry
from console.text import clean, clean_output, size

HERE = "here"
Built = Callable[[str, "LockedVariant | ProblemError"], None]
# What Docker's builder says of its own containers.
_NOISE = (" --->", "Removing intermediate container")
_COLUMNS = (
    Column("VARIANT", keep=8),
    Column("IMAGE", least=24),
    Column("ID", keep=12),
    Column("SIZE", right=True),
    Column("ON TOP", right=True),
    Column("APP", right=True),
)


@click.command("build")
@click.argument("names", metavar="[VARIANT]...", nargs=-1)
@click.option(
    "--matrix",
    "file",
    type=click.Path(path_type=Path),
    default=Path("images") / FILE,
    show_default=True,
    help="What there is to build.",
)
@click.option("--on", "node", metavar="NODE", shell_complete=complete_node, help="Build there.")
@click.option("--base", metavar="IMAGE", help="Build on this base of your own, with Python in it.")
@click.option("--python", metavar="3.N", help="The Python of that base, where it is another one.")
@click.option(
    "--wheelhouse",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder with the wheels, for a build without a network.",
)
@click.option("--update-lock", is_flag=True, help="Build on what the base's name means now.")
@click.option("--no-cache", is_flag=True, help="Build each step anew.")
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    names: Sequence[str],
    file: Path,
    node: str | None,
    base: str | None,
    python: str | None,
    wheelhouse: Path | None,
    *,
    update_lock: bool,
    no_cache: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Build the images VARIANT... of the matrix; all of them if none is named.

    This machine's own Docker or Podman builds, or that of the node --on. What was built, and from
    what, is written to image-manifest.lock.json beside the matrix. A build whose base is another
    one than the lock says stops there.
    """
    matrix = read_matrix(file)
    lock_file = file.parent / LOCK_FILE
    lock = read_lock(lock_file)
    wheels(wheelhouse)
    chosen = [matrix.variant(name) for name in names] or matrix.variants
    wanted = []
    for variant in chosen:
        if python is not None:
            variant.python = _python(python)
        locked = lock.variants.get(variant.name)
        wanted.append(
            Wanted(
                matrix=matrix,
                variant=variant,
                rendered=render(file.parent / matrix.folder, variant),
                base=base or variant.base,
                own_base=base is not None,
                wheelhouse=wheelhouse,
                locked=locked.base if locked and not update_lock else None,
                no_cache=no_cache,
            )
        )
    setup.refuse_changes("image build")
    problems: dict[str, Problem] = {}

    def built(name: str, done: LockedVariant | ProblemError) -> None:
        if isinstance(done, ProblemError):
            problems[name] = done.problem()
            tell(done)
            return
        before = lock.variants.get(name)
        if before and before.base and done.base and before.base != done.base:
            say(f"{name}: {difference(before.base, done.base)}")
        lock.variants = record(lock_file, name, done, matrix).variants

    with _place(setup, node, yes=yes) as entry:
        asyncio.run(_build_all(setup, entry, wanted, built, local=node is None))
    _show(lock, matrix, [each.variant.name for each in wanted], problems, as_json=as_json)
    return 1 if problems else 0


@contextmanager
def _place(setup: Setup, node: str | None, *, yes: bool) -> Iterator[NodeEntry]:
    """The node, or this machine's own agent for as long as it is needed.

    Raises:
        ProblemError: `console.agent_missing`, `console.usage`, `fleet.*`.
    """
    if node is not None:
        entry = one_node(setup, node)
        consent([entry], "build images", yes=yes)
        yield entry
        return
    with tempfile.TemporaryDirectory(prefix="roost-", dir=short_place()) as name:
        folder = Path(name)
        settings = runtime_settings(os.environ)
        (folder / CONFIG).write_text(agent_yaml(folder, HERE, settings), encoding="utf-8")
        with own_agent(folder, HERE) as started:
            yield started


async def _build_all(
    setup: Setup,
    entry: NodeEntry,
    wanted: Sequence[Wanted],
    built: Built,
    *,
    local: bool,
) -> None:
    """One after the other; one that fails does not keep the others."""
    client = links(setup).client(entry)
    try:
        if local:
            await until_ready(client)
        for each in wanted:
            name = each.variant.name
            say(f"{name}: building on {each.base}")
            build = Build(client, told=partial(_told, name), heard=partial(_heard, name))
            try:
                done: LockedVariant | ProblemError = await build.run(each)
            except ProblemError as problem:
                if problem.code.startswith(("link.", "ssh.")):
                    raise
                done = problem
            built(name, done)
    finally:
        await client.close()


def _told(name: str, text: str) -> None:
    say(f"{name}: {clean(text)}")


def _heard(name: str, text: str) -> None:
    if not text.startswith(_NOISE):
        say(f"{name} | {clean_output(text)}")


def _python(text: str) -> str:
    if re.fullmatch(r"3\.[0-9]{1,2}", text) is None:
        raise ProblemError(
            "console.usage", f"--python {text[:20]}: that is no Python", hint="Write it as 3.11."
        )
    return text


def _show(
    lock: Lock,
    matrix: Matrix,
    names: Sequence[str],
    problems: Mapping[str, Problem],
    *,
    as_json: bool,
) -> None:
    if as_json:
        print_json(
            {
                name: {"problem": problems.get(name), "variant": lock.variants.get(name)}
                for name in names
            }
        )
        return
    rows: list[tuple[str, ...]] = []
    for name in names:
        locked = lock.variants.get(name)
        if name in problems or locked is None or locked.image is None:
            rows.append((name, "not built", *[UNKNOWN] * 4))
            continue
        image = locked.image
        sizes = (image.size_bytes, image.added_bytes, image.application_bytes)
        rows.append((name, image.tag, short(image.id), *map(size, sizes)))
    print_table(_COLUMNS, rows)
    if len(problems) < len(names):
        say(f"{matrix.repository}:VARIANT is each of them, too")
