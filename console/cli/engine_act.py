"""`roost engine verify`, `use`, `rm` and `import`: one engine of one node."""

from __future__ import annotations

import click

from agent.protocol.engines import (
    EngineRemoveRequest,
    Executor,
    PlanImportRequest,
    UseRequest,
    VerifyRequest,
)
from agent.protocol.jobs import Job
from console.cli.consent import consent
from console.cli.deploying import follow_one
from console.cli.engine_options import gpu_option, key_argument, key_option, model_argument
from console.cli.engine_runs import not_in_use
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument, yes_option
from console.cli.output import print_json, say
from console.cli.run import Answer, ask_one, conclude
from console.cli.setup import Setup
from console.engines.words import short_key
from console.text import clean


@click.command("verify")
@node_argument
@model_argument
@key_option
@gpu_option
@json_option
@click.pass_obj
def verify(
    setup: Setup, node: str, model: str, key: str | None, gpu: str | None, *, as_json: bool
) -> int:
    """Try an engine of MODEL on NODE again: it is loaded and run as its recipe says.

    Nothing is built, and one that is not in use is not used either: roost engine use does that.
    Where the one in use turns out bad, the newest that is good is used instead.
    """
    setup.refuse_changes("engine verify")
    entry = one_node(setup, node)
    request = VerifyRequest(key=key, gpu=gpu)
    job = follow_one(
        setup, entry, lambda client, again: client.engines.verify(model, request, again)
    )
    _tell(entry.name, job, as_json=as_json)
    if job.result.get("current") == "no" and "reason" not in job.result:
        say(f"it may be used: roost engine use {entry.name} {model} {short_key(job.result['key'])}")
    return 0


@click.command("use")
@node_argument
@model_argument
@key_argument
@yes_option
@json_option
@click.pass_obj
def use(setup: Setup, node: str, model: str, key: str, *, yes: bool, as_json: bool) -> int:
    """Have NODE use the engine KEY of MODEL from now on. Only one that was tried and found good."""
    setup.refuse_changes("engine use")
    entry = one_node(setup, node)
    consent([entry], f"use engine {key} of {model}", yes=yes)
    engine = ask_one(
        setup, entry.name, lambda _, client: client.engines.use(model, UseRequest(key=key))
    )
    if as_json:
        print_json(engine)
    else:
        click.echo(clean(f"{entry.name}  {model}  {short_key(engine.manifest.key)}  in use"))
    return 0


@click.command("rm")
@node_argument
@model_argument
@key_argument
@click.option("--force", is_flag=True, help="Also the one in use; then there is none in use.")
@yes_option
@json_option
@click.pass_obj
def rm(
    setup: Setup, node: str, model: str, key: str, *, force: bool, yes: bool, as_json: bool
) -> int:
    """Remove the engine KEY of MODEL from NODE; the one in use only with --force.

    One that a workload has, or goes back to when its deployment is undone, is never removed.
    """
    setup.refuse_changes("engine rm")
    entry = one_node(setup, node)
    consent([entry], f"remove engine {key} of {model}", yes=yes)
    request = EngineRemoveRequest(key=key, force=force)
    left = ask_one(setup, entry.name, lambda _, client: client.engines.remove(model, request))
    if as_json:
        print_json(left)
    else:
        kept = ", ".join(short_key(engine.manifest.key) for engine in left) or "none"
        click.echo(clean(f"{entry.name}  {model}  {key}  removed; left: {kept}"))
    return 0


@click.command("import")
@node_argument
@model_argument
@click.argument("plan", metavar="PLAN")
@gpu_option
@click.option("--image", metavar="IMAGE", help="Try it in a container of this image.")
@yes_option
@json_option
@click.pass_obj
def take_in(
    setup: Setup,
    node: str,
    model: str,
    plan: str,
    gpu: str | None,
    image: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> int:
    """Take the engine file PLAN, a path on NODE, into its store as an engine of MODEL.

    It is tried as one that was built there, and not used if it does not run. What Ultralytics
    writes before a plan is taken off and kept beside it. What lies beside PLAN as
    NAME.manifest.json, as roost engine build --local writes it, says what it was built from.

    The exit code is 1 where it could be tried and is not in use after that.
    """
    setup.refuse_changes("engine import")
    entry = one_node(setup, node)
    consent([entry], f"import engine {model}", yes=yes)
    executor: Executor = "container" if image else "host"
    request = PlanImportRequest(model=model, plan=plan, gpu=gpu, executor=executor, image=image)
    job = follow_one(setup, entry, lambda client, key: client.engines.import_plan(request, key))
    _tell(entry.name, job, as_json=as_json)
    answer: Answer[Job] = Answer(entry, job, not_in_use(entry.name, model, job.result))
    return conclude([answer])


def _tell(node: str, job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    result = job.result
    parts = [node, result.get("model", ""), short_key(result.get("key", ""))]
    if "verification" in result:
        parts.append(result["verification"])
    if "reason" in result:
        parts.append(result["reason"])
    if "current" in result:
        parts.append(f"in use: {result['current']}")
    click.echo(clean("  ".join(part for part in parts if part)))
