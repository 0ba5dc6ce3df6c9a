"""`roost bundle make`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from agent.archives.bundle_manifest import Base
from agent.archives.bundle_planning import plan_bundle
from agent.archives.bundle_reading import read_bundle
from agent.archives.bundle_writing import LEVEL, write_bundle
from agent.signatures.signing_keys import SigningKey, read_key
from console.cli.bundle_show import print_bundle, record_of
from console.cli.image_options import archives_argument, read_archives
from console.cli.key_files import default_key_file, key_option
from console.cli.options import json_option
from console.cli.output import print_json, say
from console.text import size


@click.command("make")
@archives_argument
@click.option(
    "-o",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The bundle to write.",
)
@click.option(
    "--since",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Leave out what this bundle has: nodes need it first.",
)
@key_option
@click.option("--unsigned", is_flag=True, help="Do not sign it.")
@click.option("--level", type=click.IntRange(1, 19), default=LEVEL, help="Of zstd, 1 to 19.")
@json_option
def command(
    archives: tuple[Path, ...],
    file: Path,
    since: Path | None,
    key_file: Path | None,
    level: int,
    *,
    unsigned: bool,
    as_json: bool,
) -> None:
    """Write the images of ARCHIVEs into one file, each layer once, and sign it.

    An archive is what docker save, podman save or skopeo copy wrote, or another bundle. An
    image's name is none: save it first (docker save -o app.tar app:1).
    """
    key = None if unsigned else _key(key_file)
    base = None if since is None else read_bundle(since)
    plan = plan_bundle(
        read_archives(archives),
        since=None
        if since is None or base is None
        else (Base(id=base.id, name=since.name), base.manifest),
        created_at=time.time(),
    )
    write_bundle(
        file, plan, sign=None if key is None else key.sign, level=level, heard=_Heard(file)
    )
    made = record_of(file, read_bundle(file))
    if as_json:
        print_json(made)
    else:
        print_bundle(made)


def _key(key_file: Path | None) -> SigningKey | None:
    path = key_file or default_key_file()
    if key_file is None and not path.exists():
        say("it is not signed: you have no key (roost key make)")
        return None
    return read_key(path)


class _Heard:
    """Says on a terminal how far it is."""

    def __init__(self, file: Path) -> None:
        self._file, self._told = file, 0

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > self._told and sys.stderr.isatty():
            self._told = tenth
            say(f"writing {self._file.name}: {size(done)} of {size(total)} read")
