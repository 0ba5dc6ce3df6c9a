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
from agent.protocol.problems import ProblemError
from agent.signatures.signing_keys import SigningKey, read_key
from console.cli.bundle_show import print_bundle, record_of
from console.cli.bundle_sources import Sources, is_release_file
from console.cli.key_files import default_key_file, key_option
from console.cli.options import complete_selector, json_option
from console.cli.output import print_json, say
from console.cli.setup import Setup
from console.cli.workload_options import Asked, env_file_option, set_option
from console.images.rate import parse_bytes
from console.text import size

LEAST_PART_BYTES = 1 << 20


@click.command("make")
@click.argument(
    "sources",
    nargs=-1,
    metavar="[RELEASE|ARCHIVE]...",
    type=click.Path(path_type=Path),
)
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
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]FILE",
    help="A model that goes along, and how it is called on nodes.",
)
@click.option(
    "--to",
    "selector",
    default="",
    metavar="SELECTOR",
    shell_complete=complete_selector,
    help="The nodes that the release is for, where it differs by node.",
)
@set_option
@env_file_option
@click.option("--profile", "profiles", multiple=True, metavar="NAME", help="As of workload apply.")
@key_option
@click.option("--unsigned", is_flag=True, help="Do not sign it.")
@click.option(
    "--split",
    metavar="BYTES",
    help="Write files of so many bytes at most (3900MiB for a FAT stick), and FILE as their list.",
)
@click.option("--level", type=click.IntRange(1, 19), default=LEVEL, help="Of zstd, 1 to 19.")
@json_option
@click.pass_obj
def command(
    setup: Setup,
    sources: tuple[Path, ...],
    file: Path,
    since: Path | None,
    models: tuple[str, ...],
    selector: str,
    given: tuple[str, ...],
    env_files: tuple[Path, ...],
    profiles: tuple[str, ...],
    key_file: Path | None,
    split: str | None,
    level: int,
    *,
    unsigned: bool,
    as_json: bool,
) -> None:
    """Write images, models and releases into one file, each layer once, and sign it.

    An ARCHIVE is what docker save, podman save or skopeo copy wrote, or another bundle. An
    image's name is none: save it first (docker save -o app.tar app:1).

    A RELEASE is a Compose file (.yaml). Its images are taken from the ARCHIVEs, or from those that
    lie beside it or in images/ there; the models of its x-roost.engine from beside it. It goes
    along itself, with the files that it is made of.
    """
    part_bytes = None if split is None else _part_bytes(split)
    key = None if unsigned else _key(key_file)
    base = None if since is None else read_bundle(since)
    releases = tuple(filter(is_release_file, sources))
    asked = Asked(
        files=releases, selector=selector, given=given, env_files=env_files, profiles=profiles
    )
    archives = [source for source in sources if source not in releases]
    indexes, loose = Sources(archives, asked, models).read(
        setup, base=None if base is None else base.index, but=file
    )
    plan = plan_bundle(
        indexes,
        loose,
        since=None
        if since is None or base is None
        else (Base(id=base.id, name=since.name), base.manifest),
        created_at=time.time(),
    )
    write_bundle(
        file,
        plan,
        sign=None if key is None else key.sign,
        level=level,
        part_bytes=part_bytes,
        heard=_Heard(file),
    )
    made = record_of(file, read_bundle(file))
    if as_json:
        print_json(made)
    else:
        print_bundle(made)


def _part_bytes(text: str) -> int:
    found = parse_bytes(text)
    if found < LEAST_PART_BYTES:
        raise ProblemError(
            "console.usage",
            f"parts of {text} are too small",
            hint=f"Say {size(LEAST_PART_BYTES)} at least, as --split 3900MiB.",
        )
    return found


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
