"""`roost agent kit make|sign|show`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from agent.signatures.signing_keys import read_key
from console.cli.key_files import default_key_file, key_option
from console.cli.options import json_option
from console.cli.output import print_json, say
from console.kits.agent_image import make_agent_image
from console.kits.making import make_kit
from console.kits.reading import Kit, Signer, read_kit
from console.kits.signing import sign_kit
from console.kits.wheels import ARCHES, PYTHONS
from console.text import clean, size

kits_argument = click.argument(
    "kits", nargs=-1, required=True, metavar="KIT...", type=click.Path(path_type=Path)
)


class KitRecord(msgspec.Struct, kw_only=True):
    """A kit as `--json` prints it."""

    file: str
    bytes: int
    sha256: str
    id: str
    version: str
    arch: str
    pythons: list[str]
    glibc: str
    signer: Signer | None  # None: nobody has signed it


@click.group("kit")
def command() -> None:
    """One file per architecture, for machines without a network."""


@command.command("make")
@click.option(
    "-o",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="FOLDER",
    help="Where to write the kits; here if not given.",
)
@click.option(
    "--arch",
    "arches",
    type=click.Choice(ARCHES),
    multiple=True,
    help="For this architecture; both if not given.",
)
@click.option(
    "--python",
    "pythons",
    type=click.Choice(PYTHONS),
    multiple=True,
    help="For this Python only; may be given again. All if not given.",
)
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Take the wheels from there: no network.",
)
@click.option(
    "--image",
    "bases",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="ARCHIVE",
    help="Also an image with the kit in it, on top of the one in this archive, which has a Python.",
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Sign it with this private key; not signed if not given.",
)
@json_option
def make(
    folder: Path,
    arches: tuple[str, ...],
    pythons: tuple[str, ...],
    wheels: Path | None,
    bases: tuple[Path, ...],
    key_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Write a kit: the agent, what it needs, and what installs it, in one file.

    On the machine: sudo python3 roost-agent-VERSION-ARCH.pyz check, or install. The image is for
    `roost node install --image`, where Python is too old: no runtime is needed to make it.
    """
    if bases and len(bases) != len(arches):
        raise click.UsageError("give --arch for each --image, in the same order")
    key = None if key_file is None else read_key(key_file)
    made = []
    images = dict(zip(arches, bases, strict=True)) if bases else {}
    for arch in arches or ARCHES:
        path, about = make_kit(
            folder, arch=arch, pythons=pythons or PYTHONS, wheels=wheels, say=say
        )
        if key is not None:
            sign_kit(path, key)
        kit = read_kit(path)
        image = make_agent_image(kit, images[arch], folder) if arch in images else None
        told = {"file": str(path), "bytes": kit.size_bytes, "kit": about, "image": image}
        made.append({**told, "signer": kit.signer})
        if not as_json:
            _tell(kit)
            if image is not None:
                click.echo(f"{image.path}: {size(image.size_bytes)}, image {image.tag}")
    if as_json:
        print_json(made)


@command.command("sign")
@kits_argument
@key_option
@json_option
def sign(kits: tuple[Path, ...], key_file: Path | None, *, as_json: bool) -> None:
    """Sign kits, in their own files.

    Nodes with `policy: {require_signature: true}` become only what a key that they trust has
    signed: `roost key trust`.
    """
    key = read_key(key_file or default_key_file())
    for path in kits:
        sign_kit(path, key)
    _show([read_kit(path) for path in kits], as_json=as_json)


@command.command("show")
@kits_argument
@json_option
def show(kits: tuple[Path, ...], *, as_json: bool) -> None:
    """Read all of the kits, and say what they are and who signed them."""
    _show([read_kit(path) for path in kits], as_json=as_json)


def _show(kits: list[Kit], *, as_json: bool) -> None:
    if as_json:
        print_json([_record(kit) for kit in kits])
        return
    for kit in kits:
        _tell(kit)


def _tell(kit: Kit) -> None:
    about = kit.about
    click.echo(
        clean(
            f"{kit.path}: {size(kit.size_bytes)}, agent {about.id} for {about.arch},"
            f" Python {', '.join(about.pythons)}, glibc {about.glibc} or newer"
        )
    )
    click.echo(clean(f"{kit.path}: {kit.signed_by}"))


def _record(kit: Kit) -> KitRecord:
    about = kit.about
    return KitRecord(
        file=str(kit.path),
        bytes=kit.size_bytes,
        sha256=kit.sha256,
        id=about.id,
        version=about.version,
        arch=about.arch,
        pythons=about.pythons,
        glibc=about.glibc,
        signer=kit.signer,
    )
