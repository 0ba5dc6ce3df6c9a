"""`roost engine build --local`: an engine of TensorRT-RTX, built on this machine without a GPU."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import click
import msgspec

from agent.protocol.engines import BuildRequest, Engine, EngineManifest, EngineRecipe
from agent.protocol.problems import ProblemError
from console.cli.build_display import BuildDisplay
from console.cli.output import print_json
from console.cli.own_agent import CONFIG, agent_yaml, own_agent, short_place, until_ready
from console.engines.fleet_build import FleetBuild
from console.engines.node_build import NodeBuild
from console.engines.words import built_for, short_key, tensorrt
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links, stated_owner
from console.text import clean, size

HERE = "here"
# Where one of these is, there may be a GPU.
DRIVER_SIGNS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))
_SM = re.compile(r"(?:sm_?)?([0-9]{1,2})\.?([0-9])", re.IGNORECASE)
# As they lie in an agent's store, and as they are called here.
MANIFEST = "manifest.json"
_FILES = {"model.plan": "plan", MANIFEST: MANIFEST, "build.log": "log"}


class LocalBuild(msgspec.Struct, kw_only=True):
    """What `--json` prints: the engine, and the files that were written here."""

    engine: Engine
    files: list[str]


def build_here(
    recipe: EngineRecipe,
    *,
    capabilities: str | None,
    output: Path,
    onnx: Path,
    python: Path | None,
    as_json: bool,
) -> int:
    """Build it, and put `MODEL.plan`, `MODEL.manifest.json` and `MODEL.log` into `output`.

    An import of the plan finds the manifest beside it.

    Raises:
        ProblemError: `console.*`, and those of the build.
    """
    if capabilities is not None:
        recipe.compute_capabilities = compute_capabilities(capabilities)
    said = msgspec.structs.replace(recipe)
    recipe.onnx = str(onnx.absolute())
    if not Path(recipe.onnx).is_file():
        raise ProblemError(
            "engine.onnx",
            f"{recipe.onnx} is no file on this machine",
            params={"onnx": recipe.onnx},
            hint="Say where the model lies here: --onnx FILE",
        )
    recipe.executor, recipe.image = "host", None
    builder = (python or Path(sys.executable)).absolute()
    # Its state is gone with it: what it built is moved out before.
    with tempfile.TemporaryDirectory(prefix="roost-", dir=short_place()) as name:
        folder = Path(name)
        if any(sign.exists() for sign in DRIVER_SIGNS):
            builder = without_gpu(builder, folder)
        settings = {
            "engines": {"python": str(builder)},
            # This machine may be a node: its containers are no business of a build on the host.
            "runtime": f"unix://{folder / 'no-runtime.sock'}",
        }
        (folder / CONFIG).write_text(agent_yaml(folder, HERE, settings), encoding="utf-8")
        with own_agent(folder, HERE) as started:
            engine = asyncio.run(_build(started, recipe))
        _as_said(engine.manifest, said)
        files = _take(engine, output)
    if as_json:
        print_json(LocalBuild(engine=engine, files=[str(file) for file in files]))
        return 0
    manifest = engine.manifest
    about = f"{size(manifest.plan_bytes)} for {built_for(engine)}, by {tensorrt(engine)}"
    click.echo(clean(f"{engine.model}  {short_key(manifest.key)}  {about}"))
    for file in files:
        click.echo(clean(str(file)))
    return 0


def _as_said(manifest: EngineManifest, said: EngineRecipe) -> None:
    """Have it name files as they are called on nodes, where it is imported with its plan."""
    recipe = manifest.parts.recipe
    if recipe is None:
        return
    here, there = Path(recipe.onnx).parent, Path(said.onnx)
    for file in manifest.files:
        path = Path(file.path)
        if path == Path(recipe.onnx):
            file.path = str(there)
        elif path.is_relative_to(here):
            file.path = str(there.parent / path.relative_to(here))
    recipe.onnx, recipe.executor, recipe.image = said.onnx, said.executor, said.image


def compute_capabilities(text: str) -> list[str]:
    """ "sm_86,sm_120" as ["8.6", "12.0"].

    Raises:
        ProblemError: `console.usage`.
    """
    found = [_SM.fullmatch(part.strip()) for part in text.split(",")]
    good = [f"{int(each[1])}.{each[2]}" for each in found if each is not None]
    if len(good) != len(found):
        raise ProblemError(
            "console.usage",
            f"--for {text[:60]}: that is no list of compute capabilities",
            hint="Write them as sm_86,sm_89: an RTX 3060 is sm_86, an RTX 4090 sm_89.",
        )
    return good


def without_gpu(python: Path, folder: Path) -> Path:
    """A command in `folder` that is this Python with no GPU in sight.

    What is built here is for other machines' GPUs: tried on this one's, it may well be refused.
    """
    command = folder / "python"
    script = f'#!/bin/sh\nCUDA_VISIBLE_DEVICES= exec {shlex.quote(str(python))} "$@"\n'
    command.write_text(script, encoding="utf-8")
    command.chmod(0o700)
    return command


async def _build(entry: NodeEntry, recipe: EngineRecipe) -> Engine:
    """Raises ProblemError: the build's own."""
    request = BuildRequest(recipe=recipe)
    ways = Links(os.environ, owner=stated_owner())
    client = ways.client(entry)
    try:
        await until_ready(client)
        await _see(ways, entry, request)
        (engine,) = await client.engines.show(recipe.model)
    finally:
        await client.close()
    return engine


async def _see(ways: Links, entry: NodeEntry, request: BuildRequest) -> None:
    """Raises ProblemError: the build's own."""

    build = NodeBuild(entry, request)
    fleet = FleetBuild(
        [build],
        ways.client,
        run_name=secrets.token_hex(6),
        again=False,
        at_once=1,
        random=jitter(),
    )
    async with BuildDisplay([build]):
        await fleet.run()
    if build.problem is not None:
        raise build.problem


def _take(engine: Engine, output: Path) -> list[Path]:
    """Raises ProblemError `engine.storage`."""
    source = Path(engine.path).parent
    taken = []
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, ending in _FILES.items():
            target = output / f"{engine.model}.{ending}"
            new = target.with_name(f".{target.name}.new")
            if name == MANIFEST:
                new.write_bytes(msgspec.json.format(msgspec.json.encode(engine.manifest)))
            else:
                shutil.copyfile(source / name, new)
            with new.open("rb") as file:
                os.fsync(file.fileno())
            new.replace(target)
            taken.append(target)
    except OSError as error:
        raise ProblemError(
            "engine.storage",
            f"{error.filename or output}: {os.strerror(error.errno or 0)}",
            hint="Name another folder: --output DIR",
        ) from None
    engine.path = str(taken[0])
    return taken
