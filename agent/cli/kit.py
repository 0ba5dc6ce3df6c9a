"""`roost-agent kit`: whether this machine would take a kit. Its installer asks before it begins."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from agent.archives.kits import KitArchive
from agent.cli.options import config_option
from agent.protocol.problems import ProblemError
from agent.settings import load_settings
from agent.signatures.public_keys import parse_public_key
from agent.store.trusted_keys import TrustedKeys
from agent.upgrades.kit_vouching import KitVouching


@click.command("kit")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@click.option("--json", "as_json", is_flag=True, help="As a kit's installer says it.")
def command(file: Path, config: Path | None, *, as_json: bool) -> None:
    """Say who signed a kit of the agent, and whether this machine takes it.

    With `policy: {require_signature: true}` in agent.yaml it takes only what a trusted key signed.
    """
    try:
        settings = load_settings(config)
        keys = TrustedKeys(settings.trusted_keys)
        said = _judged(file, KitVouching(keys, required=settings.policy.require_signature))
    except ProblemError as problem:
        if not as_json:
            raise
        told = {"code": problem.code, "detail": problem.detail, "hint": problem.hint}
        click.echo(msgspec.json.encode({"problem": told}))
        sys.exit(1)
    click.echo(msgspec.json.encode({"says": said}) if as_json else said)


def _judged(file: Path, vouching: KitVouching) -> str:
    try:
        with file.open("rb") as opened:
            kit = KitArchive(opened, name=str(file), hint="Copy it again.")
            vouching.check(kit)
    except OSError as error:
        raise ProblemError(
            "kit.broken", f"{file}: {error.strerror}", hint="Copy it again."
        ) from None
    if kit.signed is None:
        return f"nobody has signed kit {kit.about.id}, and this machine does not ask for it"
    by = parse_public_key(kit.signed.key).fingerprint
    trusted = "is trusted here" if vouching.required else "this machine does not ask for it"
    return f"kit {kit.about.id} is signed by {by}: {trusted}"
