"""`roost bundle show` and `roost bundle diff`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from agent.archives.bundle_manifest import CONFIG, CONTENT, LAYER, Manifest
from agent.archives.bundle_parts import Part, read_parts
from agent.archives.bundle_planning import Difference, compare
from agent.archives.bundle_reading import Bundle, read_bundle
from agent.archives.faults import told_about
from agent.protocol.problems import ProblemError
from agent.signatures.public_keys import parse_public_key, signs
from console.cli.options import json_option
from console.cli.output import print_json
from console.cli.table import UNKNOWN, Column, print_table
from console.text import clean, size

_IMAGES = (
    Column("IMAGE", least=24),
    Column("ID"),
    Column("PLATFORM", keep=7),
    Column("LAYERS", right=True),
    Column("SIZE", right=True),
)
_FILES = (
    Column("FILE", least=24),
    Column("SHA256"),
    Column("SIZE", right=True),
)
_DIFFERENCES = (
    Column("WHAT", least=24),
    Column("CHANGE"),
    Column("PLATFORM", keep=7),
    Column("NEW", right=True),
)
_SHOWN = 12
bundle_argument = click.argument("bundle", type=click.Path(path_type=Path), metavar="BUNDLE")


class Signer(msgspec.Struct, kw_only=True):
    """Who signed. `good` says that the signature fits, not that the key is the right one."""

    fingerprint: str
    name: str
    good: bool


class BundleRecord(msgspec.Struct, kw_only=True):
    """A bundle as `--json` prints it."""

    file: str
    size_bytes: int
    id: str
    signer: Signer | None  # None: it is not signed
    parts: list[Part] = []  # files that it lies in; empty: it is one file
    manifest: Manifest


class DifferenceRecord(msgspec.Struct, kw_only=True):
    """An image or a file as `bundle diff --json` prints it; a file's title is `image`."""

    image: str
    change: str
    platform: str
    new_bytes: int


def record_of(path: Path, bundle: Bundle) -> BundleRecord:
    """What is told of a bundle. Raises ProblemError `archive.unreadable`."""
    with told_about(path):
        found = read_parts(path)
    return BundleRecord(
        file=str(path),
        size_bytes=bundle.index.size_bytes,
        id=bundle.id,
        signer=_signer(bundle),
        parts=[] if found is None else found.parts,
        manifest=bundle.manifest,
    )


def print_bundle(record: BundleRecord) -> None:
    """The same for people."""
    manifest, signer = record.manifest, record.signer
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(manifest.created_at))
    contents = [entry for entry in manifest.entries if entry.kind in CONTENT]
    layers = [entry for entry in contents if entry.kind == LAYER]
    unpacked = sum(entry.size_bytes for entry in layers)
    files = [entry for entry in contents if entry.kind != LAYER]
    lines = [
        f"bundle    {record.file}, {size(record.size_bytes)}",
        *([f"parts     {_parts(record.parts)}"] if record.parts else []),
        f"id        {record.id}",
        f"made      {made}",
    ]
    if manifest.images:
        lines.append(f"layers    {len(layers)}, {size(unpacked)} unpacked")
    if manifest.files:
        total = size(sum(entry.size_bytes for entry in files))
        lines.append(f"files     {len(files)}, {total}")
    others = sorted({entry.kind for entry in manifest.entries} - {CONFIG, *CONTENT})
    if others:
        lines.append(f"also has  {', '.join(others)}: this Roost passes over these")
    if manifest.since is not None:
        needed = size(sum(layer.size_bytes for layer in manifest.needs))
        lines.append(
            f"needs     {manifest.since.name}, for {needed} of its content ({manifest.since.id})"
        )
    if signer is None:
        lines.append("signed    by nobody")
    elif signer.good:
        lines.append(f"signed    by {signer.fingerprint} ({signer.name or 'without a name'})")
    else:
        lines.append(f"signed    by {signer.fingerprint}: WRONG, it was changed after signing")
    for line in lines:
        click.echo(clean(line))
    sizes = {layer.diff_id: layer.size_bytes for layer in manifest.needs}
    sizes |= {entry.sha256: entry.size_bytes for entry in layers}
    if manifest.images:
        _print_images(manifest, sizes)
    if manifest.files:
        print_table(
            _FILES,
            [
                (f"{each.kind} {each.name}", _short(each.sha256), size(each.size_bytes))
                for each in manifest.files
            ],
        )


def _print_images(manifest: Manifest, sizes: Mapping[str, int]) -> None:
    print_table(
        _IMAGES,
        [
            (
                ", ".join(image.tags) or UNKNOWN,
                _short(image.config_digest),
                "/".join(part for part in (image.os, image.architecture, image.variant) if part),
                str(len(image.diff_ids)),
                size(sum(sizes.get(diff_id, 0) for diff_id in image.diff_ids)),
            )
            for image in manifest.images
        ],
    )


def _parts(parts: Sequence[Part]) -> str:
    """Of 12 files, from the first to the last."""
    ends = [parts[0].name, *([parts[-1].name] if len(parts) > 1 else [])]
    return f"{len(parts)}: {' to '.join(ends)}, beside it"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHOWN]


@click.command("show")
@bundle_argument
@json_option
def show(bundle: Path, *, as_json: bool) -> None:
    """Say what BUNDLE holds, and who signed it. Its layers are not read: see verify."""
    record = record_of(bundle, read_bundle(bundle))
    if as_json:
        print_json(record)
    else:
        print_bundle(record)


@click.command("diff")
@click.argument("old", type=click.Path(path_type=Path), metavar="OLD")
@click.argument("new", type=click.Path(path_type=Path), metavar="NEW")
@json_option
def diff(old: Path, new: Path, *, as_json: bool) -> None:
    """Say which images and files NEW adds, removes and changes, and how much of them is new."""
    found = compare(read_bundle(old).manifest, read_bundle(new).manifest)
    if as_json:
        print_json([_difference(each) for each in found])
    else:
        print_table(
            _DIFFERENCES,
            [(each.name, each.change, each.platform, size(each.new_bytes)) for each in found],
        )


def _difference(found: Difference) -> DifferenceRecord:
    return DifferenceRecord(
        image=found.name,
        change=found.change,
        platform=found.platform,
        new_bytes=found.new_bytes,
    )


def _signer(bundle: Bundle) -> Signer | None:
    signed = bundle.signed
    if signed is None:
        return None
    try:
        key = parse_public_key(signed.key)
    except ProblemError:
        return Signer(fingerprint="a key that cannot be read", name="", good=False)
    good = signs(key, signed.manifest, signed.signature)
    return Signer(fingerprint=key.fingerprint, name=key.name, good=good)
