"""`roost key make` and `roost key sign`."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from agent.archives.detached import manifest_of, signature_file
from agent.durable import write_whole
from agent.protocol.problems import ProblemError
from agent.protocol.signatures import SignedManifest
from agent.signatures.signing_keys import PUBLIC_SUFFIX, make_key, read_key
from console.cli.image_options import read_archives
from console.cli.key_files import default_key_file, key_option
from console.cli.options import json_option
from console.cli.output import print_json, say
from console.fleet.links import stated_owner


class MadeRecord(msgspec.Struct, kw_only=True):
    """A key as `key make --json` prints it."""

    file: str
    public_file: str
    fingerprint: str
    name: str


class SignedRecord(msgspec.Struct, kw_only=True):
    """A signature as `key sign --json` prints it."""

    file: str
    fingerprint: str
    images: list[str]


@click.command("make")
@click.option("-o", "file", type=click.Path(path_type=Path), metavar="FILE", help="Write it there.")
@click.option("--name", help="Whose it is, for people; you and this machine, if not given.")
@json_option
def make(file: Path | None, name: str | None, *, as_json: bool) -> None:
    """Make a key to sign with. FILE is yours alone; FILE.pub is what nodes get.

    The private key has no passphrase: who can read the file can sign.
    """
    path = file or default_key_file()
    key = make_key(path, name=" ".join((name or stated_owner()).split()))
    public = f"{path}{PUBLIC_SUFFIX}"
    if as_json:
        record = MadeRecord(
            file=str(path),
            public_file=public,
            fingerprint=key.public.fingerprint,
            name=key.public.name,
        )
        print_json(record)
        return
    click.echo(key.public.fingerprint)
    say(f"{path} signs: keep it, and show it to nobody")
    say(f"have nodes trust it: roost key trust NODE {public}")


@click.command("sign")
@click.argument("archive", type=click.Path(path_type=Path))
@key_option
@json_option
def sign(archive: Path, key_file: Path | None, *, as_json: bool) -> None:
    """Sign the images of ARCHIVE, in a file ARCHIVE.sig beside it.

    It names the images themselves, so the archive may be compressed or packed anew.
    """
    key = read_key(key_file or default_key_file())
    (index,) = read_archives([archive])
    signed = key.sign(manifest_of(index, created_at=time.time()))
    file = signature_file(archive)
    _write(file, signed)
    names = [tag for image in index.images for tag in image.tags or [image.config_digest]]
    names = list(dict.fromkeys(names))
    if as_json:
        print_json(SignedRecord(file=str(file), fingerprint=key.public.fingerprint, images=names))
        return
    click.echo(str(file))
    say(f"{key.public.fingerprint} vouches for {', '.join(names)}")


def _write(file: Path, signed: SignedManifest) -> None:
    try:
        write_whole(file, msgspec.json.encode(signed), mode=0o644)
    except OSError as error:
        raise ProblemError(
            "signature.unwritable",
            f"{file}: {error.strerror}",
            params={"file": str(file)},
            hint="The signature lies beside the archive: copy the archive to a folder of yours.",
        ) from None
