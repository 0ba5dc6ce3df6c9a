"""`roost bundle verify`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from agent.archives.bundle_verifying import verify_bundle
from agent.protocol.problems import ProblemError
from console.cli.bundle_show import BundleRecord, bundle_argument, record_of
from console.cli.key_files import read_public
from console.cli.options import json_option
from console.cli.output import print_json, say
from console.text import clean, size


@click.command("verify")
@bundle_argument
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.pub",
    help="Whose signature is wanted; may be given more than once.",
)
@json_option
def command(bundle: Path, keys: tuple[Path, ...], *, as_json: bool) -> None:
    """Read all of BUNDLE and compare it with its manifest; check its signature.

    With --key it must be signed by one of these. Without, whose the key is remains for you to
    see.
    """
    wanted = {read_public(file).fingerprint for file in keys}
    told = 0

    def heard(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // max(1, total)
        if tenth > told and sys.stderr.isatty():
            told = tenth
            say(f"reading {bundle.name}: {size(done)} of {size(total)}")

    record = record_of(bundle, verify_bundle(bundle, heard=heard))
    _check_signer(record, wanted)
    if as_json:
        print_json(record)
        return
    click.echo(clean(f"{bundle}: {len(record.manifest.entries)} entries are as they were made"))
    if record.signer is None:
        say("nobody has signed it")
    else:
        name = record.signer.name or "without a name"
        click.echo(clean(f"{bundle}: signed by {record.signer.fingerprint} ({name})"))
        if not wanted:
            say("compare the fingerprint, or name the key that you expect: --key FILE.pub")


def _check_signer(record: BundleRecord, wanted: set[str]) -> None:
    signer = record.signer
    params = {"file": record.file}
    if signer is None:
        if wanted:
            raise ProblemError(
                "signature.missing",
                f"{record.file}: nobody has signed it",
                params=params,
                hint="Ask whoever made it for a signed one: roost bundle make --key FILE",
            )
    elif not signer.good:
        raise ProblemError(
            "signature.wrong",
            f"{record.file}: {signer.fingerprint} did not sign it as it is: it was changed",
            params=params,
            hint="Do not use it; get it again from whoever made it.",
        )
    elif wanted and signer.fingerprint not in wanted:
        raise ProblemError(
            "signature.unknown_key",
            f"{record.file}: it is signed by {signer.fingerprint}, not by a key that was named",
            params=params,
            hint="Ask who made it, and name that key with --key.",
        )
