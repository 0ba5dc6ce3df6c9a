"""`roost snapshot take`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from agent.protocol.snapshots import NodeSnapshot
from agent.signatures.signing_keys import read_key
from console.cli.key_files import default_key_file, key_option
from console.cli.new_file import check_new, force_option
from console.cli.options import complete_node, json_option
from console.cli.output import on_terminal, print_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.snapshots.taking import Wanted, images_wanted, left_out, take
from console.text import clean, plural, size


class TakenRecord(msgspec.Struct, kw_only=True):
    """As `--json` prints it."""

    node: str
    file: str
    size_bytes: int
    workloads: int
    images: int
    images_carried: int
    engines: int
    models: int
    withheld: dict[str, list[str]] = {}  # by workload: what a restore elsewhere has to be given
    left_out: dict[str, str] = {}  # asked for and not carried: "image app:1", and why
    secrets: list[str] = []
    unknown: dict[str, str] = {}


@click.command("take")
@click.argument("node", shell_complete=complete_node)
@click.option(
    "-o",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write.",
)
@click.option(
    "--with-images", is_flag=True, help="Carry the images that workloads and engines need."
)
@click.option("--all-images", is_flag=True, help="Carry every image of the node.")
@click.option("--with-models", is_flag=True, help="Carry the models.")
@click.option(
    "--with-environment",
    is_flag=True,
    help="Tell values of environment variables, but for those that look like secrets.",
)
@force_option
@key_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    node: str,
    file: Path,
    key_file: Path | None,
    *,
    with_images: bool,
    all_images: bool,
    with_models: bool,
    with_environment: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write how NODE is into one file: driver, runtime, workloads, images, engines, models.

    Nothing changes on the node. With --with-images, --with-models and --with-environment the one
    file makes a replacement node. Secrets are named, their values are never told; what looks like
    one in an environment, a command or a label is withheld.
    """
    check_new(file, force=force)
    path = key_file or default_key_file()
    key = None if key_file is None and not path.exists() else read_key(path)
    wanted = Wanted(
        images=with_images,
        all_images=all_images,
        models=with_models,
        environment=with_environment,
    )

    async def ask(_: NodeEntry, client: NodeClient) -> NodeSnapshot:
        return await take(client, file, wanted, sign=None if key is None else key.sign, said=_told)

    snapshot = ask_one(setup, node, ask)
    record = TakenRecord(
        node=snapshot.node,
        file=str(file),
        size_bytes=file.stat().st_size,
        workloads=len(snapshot.workloads),
        images=len(snapshot.images),
        images_carried=len(images_wanted(snapshot, wanted)),
        engines=len(snapshot.engines),
        models=sum(each.kind == "model" for each in snapshot.files),
        withheld={each.name: each.withheld for each in snapshot.workloads if each.withheld},
        left_out=left_out(snapshot, wanted),
        secrets=snapshot.secrets,
        unknown=snapshot.unknown,
    )
    if as_json:
        print_json(record)
        return
    carried = f", {record.images_carried} of them carried" if record.images_carried else ""
    click.echo(
        clean(
            f"{record.node}: {file}, {size(record.size_bytes)}:"
            f" {plural(record.workloads, 'workload')},"
            f" {plural(record.images, 'image')}{carried},"
            f" {plural(record.engines, 'engine')}, {plural(record.models, 'model')}"
        )
    )
    for name, places in record.withheld.items():
        say(f"withheld of {name}: {', '.join(places)}")
    for each in snapshot.workloads:
        if each.reason is not None:
            say(f"{each.name} cannot be restored from it: {each.reason}")
    for what, why in record.left_out.items():
        say(f"left out: {what}: {why}")
    for what, why in record.unknown.items():
        say(f"not known: {what}: {why}")


def _told(text: str) -> None:
    if on_terminal():
        say(text)
