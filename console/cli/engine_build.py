"""`roost engine build`: one engine, on the node that will run it."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from agent.protocol.engines import BuildRequest, EngineRecipe
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.protocol.settings import convert_settings
from agent.yaml_text import read_document, read_tree
from console.cli.consent import consent
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument, yes_option
from console.cli.output import print_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.images.following import see_through
from console.link.client import NodeClient
from console.text import clean

TOLD_EVERY = 10  # percent


@click.command("build")
@node_argument
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--gpu", metavar="UUID", help="The GPU to build for, if there are several.")
@click.option("--rebuild", is_flag=True, help="Build it even if the node has it.")
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    node: str,
    recipe: Path,
    gpu: str | None,
    *,
    rebuild: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Build the engine that the YAML file RECIPE describes on NODE, with the TensorRT there.

    The recipe names the model as it lies on the node:

    \b
      model: detector
      onnx: /srv/models/detector.onnx
      profiles:
        - images: {min: [1, 3, 640, 640], opt: [8, 3, 640, 640], max: [16, 3, 640, 640]}
    """
    entry = one_node(setup, node)
    request = BuildRequest(recipe=read_recipe(recipe), gpu=gpu, rebuild=rebuild)
    setup.refuse_changes("engine build")
    consent([entry], f"build engine {request.recipe.model}", yes=yes)

    async def build(_: NodeEntry, client: NodeClient) -> Job:
        job = await client.engines.build(request, secrets.token_hex(16))
        return await see_through(client, job, random=jitter(), seen=Teller(entry.name))

    job = ask_one(setup, entry.name, build)
    if as_json:
        print_json(job)
    else:
        result = job.result
        click.echo(
            clean(
                f"{entry.name}  {result.get('model', '')}  {result.get('key', '')[:12]}"
                f"  {result.get('engine', '')}  current: {result.get('current', '')}"
            )
        )
    return 0


class Teller:
    """Says how far a job is, where that has changed enough."""

    def __init__(self, node: str) -> None:
        self._node, self._told = node, ("", -1)

    def __call__(self, job: Job) -> None:
        part = 0
        if job.total:
            part = 100 * (job.done or 0) // job.total // TOLD_EVERY * TOLD_EVERY
        if job.stage and (job.stage, part) != self._told:
            self._told = job.stage, part
            say(f"{self._node}: {job.stage}" + (f" {part} %" if part else ""))


def read_recipe(path: Path) -> EngineRecipe:
    """Raises ProblemError `settings.*`, with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(
            "settings.unreadable",
            f"{path}: {error}",
            params={"file": str(path)},
            hint="Name a recipe, a YAML file in UTF-8; roost engine build --help has one.",
        ) from None
    document = read_document(text, file=str(path))
    return convert_settings(document, EngineRecipe, file=str(path), tree=lambda: read_tree(text))
