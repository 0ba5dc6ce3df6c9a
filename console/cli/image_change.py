"""`roost image tag` and `roost image rm`."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence

import click
import msgspec

from agent.protocol.images import RemoveRequest, TagRequest
from agent.protocol.jobs import Job
from agent.protocol.problems import Problem
from console.cli.consent import consent
from console.cli.image_options import to_option
from console.cli.nodes import selected_nodes
from console.cli.options import json_option, yes_option
from console.cli.output import print_json
from console.cli.run import Answer, ask_nodes, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, Column, print_table
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.images.following import see_through
from console.link.client import NodeClient

_COLUMNS = (NODE, Column("IMAGE", least=16), Column("RESULT", least=12))


class JobRecord(msgspec.Struct, kw_only=True):
    """What `--json` prints of a node; `job` None: it did not answer."""

    node: str
    problem: Problem | None = None
    job: Job | None = None


@click.command("tag")
@click.argument("image")
@click.argument("tag")
@to_option
@yes_option
@json_option
@click.pass_obj
def tag(setup: Setup, image: str, tag: str, selector: str, *, yes: bool, as_json: bool) -> int:
    """Give IMAGE the name TAG, taken away from whichever image had it."""
    request = TagRequest(image=image, tag=tag)
    return _on_each(
        setup,
        selector,
        [tag],
        f"tag {image} as {tag}",
        lambda client, key: client.tag_image(request, key),
        yes=yes,
        as_json=as_json,
    )


@click.command("rm")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@to_option
@yes_option
@json_option
@click.pass_obj
def rm(setup: Setup, images: tuple[str, ...], selector: str, *, yes: bool, as_json: bool) -> int:
    """Remove images, or names of images that have several. Never one that a container uses."""
    request = RemoveRequest(images=list(images))
    return _on_each(
        setup,
        selector,
        images,
        f"remove {', '.join(images)}",
        lambda client, key: client.remove_images(request, key),
        yes=yes,
        as_json=as_json,
    )


def _on_each(
    setup: Setup,
    selector: str,
    asked: Sequence[str],
    what: str,
    begin: Callable[[NodeClient, str], Awaitable[Job]],
    *,
    yes: bool,
    as_json: bool,
) -> int:
    setup.refuse_changes(what)
    entries = selected_nodes(setup, selector)
    consent(entries, what, yes=yes)

    async def ask(_: NodeEntry, client: NodeClient) -> Job:
        job = await begin(client, secrets.token_hex(16))
        return await see_through(client, job, random=jitter())

    answers = ask_nodes(setup, entries, ask)
    if as_json:
        print_json(
            [
                JobRecord(
                    node=answer.entry.name,
                    problem=answer.problem.problem() if answer.problem else None,
                    job=answer.value,
                )
                for answer in answers
            ]
        )
    else:
        print_table(
            _COLUMNS,
            [
                (answer.entry.name, image, result)
                for answer in answers
                for image, result in _results(answer, asked)
            ],
        )
    return conclude(answers)


def _results(answer: Answer[Job], asked: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What came of each; of a job that failed, what had gone well before."""
    if answer.value is not None:
        yield from answer.value.result.items()
        return
    done = answer.problem.params.get("done") if answer.problem is not None else None
    well = dict(entry.rpartition("=")[::2] for entry in done) if isinstance(done, list) else {}
    for image in asked:
        yield image, well.get(image, "failed")
