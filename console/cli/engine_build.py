"""`roost engine build`: engines, on the nodes that will run them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from agent.protocol.engines import BuildRequest, EngineRecipe
from agent.protocol.problems import ProblemError
from console.cli.consent import consent
from console.cli.engine_options import gpu_option
from console.cli.engine_recipe import is_release, read_recipe
from console.cli.engine_runs import see_builds, why_failed
from console.cli.engine_share import tell_shares
from console.cli.engine_stale import stale_builds
from console.cli.nodes import selected_nodes
from console.cli.options import complete_selector, json_option, yes_option
from console.cli.run import Answer, conclude
from console.cli.setup import Setup
from console.cli.workload_options import Asked, read_workloads, tell_problems
from console.engines.node_build import NodeBuild
from console.fleet.inventory import NodeEntry
from console.text import plural

AT_ONCE = 2


@click.command("build")
@click.argument("recipe", type=click.Path(path_type=Path), required=False)
@click.option(
    "--to",
    "selector",
    metavar="SELECTOR",
    shell_complete=complete_selector,
    help="The nodes: labels, or @NAME.",
)
@click.option("--stale", is_flag=True, help="Instead of a recipe: each stale engine, by its own.")
@click.option(
    "--share",
    is_flag=True,
    help="Of a site's nodes with the same key one builds, the others fetch.",
)
@gpu_option
@click.option("--rebuild", is_flag=True, help="Build it even on nodes that have it.")
@click.option(
    "--at-once",
    type=click.IntRange(1, 1000),
    default=AT_ONCE,
    show_default=True,
    metavar="N",
    help="At most so many builds at a time at each site (label `site`).",
)
@click.option("--resume", metavar="RUN", help="Go on with a run that was left.")
@click.option("--local", is_flag=True, help="Build here, with TensorRT-RTX; no GPU is needed.")
@click.option("--for", "capabilities", metavar="SM,...", help="With --local: as sm_86,sm_89.")
@click.option(
    "--output",
    "-o",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --local: where the engine goes.",
)
@click.option(
    "--onnx",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="With --local: the model as it lies here, if not where the recipe says.",
)
@click.option(
    "--python",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="With --local: the Python that has tensorrt-rtx, if not this one.",
)
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    recipe: Path | None,
    selector: str | None,
    gpu: str | None,
    at_once: int,
    resume: str | None,
    capabilities: str | None,
    output: Path | None,
    onnx: Path | None,
    python: Path | None,
    *,
    stale: bool,
    share: bool,
    rebuild: bool,
    local: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Build the engine that the YAML file RECIPE describes on nodes, with the TensorRT there.

    RECIPE may be a release, too: then those that its services say under x-roost.engine are built,
    in the services' own images. A recipe of its own names the model as it lies on each node, or
    without a slash at its begin, as roost bundle push has brought it there:

    \b
      model: detector
      onnx: /srv/models/detector.onnx
      profiles:
        - images: {min: [1, 3, 640, 640], opt: [8, 3, 640, 640], max: [16, 3, 640, 640]}

    A node that has that engine is done at once. A build that was begun goes on when this command
    ends; --resume looks on again, and begins those that were not.

    With --stale it is done for each engine in use that roost engine ls --stale lists: where only
    the driver is another one, the engine is tried again and not built.

    With --share one node builds for those of its site (label `site`) whose engine has the same
    key: it serves the plan to them over their own network, as its site_listen says. Each of them
    tries it as if it had built it, and builds it where anything is wrong. A table says first who
    builds, who fetches from whom, and who cannot share.

    The exit code is 1 where one failed, or was not tried on a node that has a GPU, so that it is
    not in use.

    With --local no node is asked: the engine is built here for GeForce and RTX GPUs.
    """
    if local:
        if recipe is None or output is None or selector or stale or gpu or resume or share:
            raise _usage(
                "--local takes a RECIPE and --output DIR, and no node",
                "roost engine build --local --for sm_86,sm_89 -o DIR RECIPE",
            )
        from console.cli.engine_local import build_here

        found = read_recipe(recipe)
        return build_here(
            found,
            capabilities=capabilities,
            output=output,
            onnx=onnx or recipe.parent / found.onnx,
            python=python,
            as_json=as_json,
        )
    if capabilities or output or onnx or python:
        raise _usage(
            "--for, --output, --onnx and --python are for --local",
            "A recipe says compute_capabilities; an engine stays on the node that built it.",
        )
    if not selector:
        raise _usage("nobody said on which nodes", "Add --to SELECTOR, or --to @NODE for one.")
    setup.refuse_changes("engine build")
    entries = selected_nodes(setup, selector)
    builds: list[NodeBuild]
    silent: list[Answer[None]] = []
    if stale:
        if recipe is not None or gpu is not None or rebuild:
            raise _usage(
                "--stale takes the recipes of the engines themselves, and builds for their GPUs",
                "Leave out RECIPE, --gpu and --rebuild, or leave out --stale.",
            )
        builds, silent = stale_builds(setup, entries)
        what = plural(len(builds), "stale engine")
    else:
        if recipe is None:
            raise _usage("nobody said what to build", "Name a RECIPE, or say --stale.")
        wanted = _wanted(setup, recipe, selector, entries)
        what = "engine " + ", ".join(sorted({each.model for _, each in wanted}))
        builds = [
            NodeBuild(entry, BuildRequest(recipe=each, gpu=gpu, rebuild=rebuild))
            for entry, each in wanted
        ]
    if share:
        tell_shares(setup, builds)
    touched = [entry for entry in entries if any(each.entry is entry for each in builds)]
    consent(touched, f"build {what}", yes=yes)
    see_builds(setup, builds, at_once=at_once, resume=resume, as_json=as_json)
    ended: list[Answer[None]] = [Answer(each.entry, problem=why_failed(each)) for each in builds]
    return conclude([*silent, *ended])


def _wanted(
    setup: Setup, file: Path, selector: str, entries: Sequence[NodeEntry]
) -> list[tuple[NodeEntry, EngineRecipe]]:
    """Each node with each recipe: the one that the file is, or those of a release's services.

    Raises:
        ProblemError: `settings.*`, `engine.recipe`, `compose.*`; `console.usage`: it has none.
    """
    if not is_release(file):
        recipe = read_recipe(file)
        return [(entry, recipe) for entry in entries]
    asked = Asked(files=(file,), selector=selector, given=(), env_files=(), profiles=())
    chosen, found = read_workloads(setup, asked)
    if tell_problems(found):
        raise _usage(f"{file} cannot be built from", "Mend what is named above.")
    wanted = [
        (entry, recipe)
        for entry, node in zip(chosen, found, strict=True)
        for recipe in node.engines.values()
    ]
    if not wanted:
        raise _usage(
            f"no service of {file} says how its engine is built",
            "A service says how its engine is built: x-roost: {engine: {onnx: ...}}",
        )
    return wanted


def _usage(wrong: str, hint: str) -> ProblemError:
    return ProblemError("console.usage", wrong, hint=hint)
