"""Signing kits: the signature goes into the file itself, and comes with it wherever that goes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.archives.kits import write_zip
from agent.durable import appearing, sync, sync_folder
from agent.protocol.kits import ABOUT, MAIN, SIGNATURE
from agent.protocol.problems import ProblemError
from agent.signatures.signing_keys import SigningKey
from console.kits.reading import opened_kit, read_kit


def sign_kit(path: Path, key: SigningKey) -> None:
    """Sign the kit in its file, in the place of whoever signed it before. Blocks.

    Raises:
        ProblemError: `kit.broken`, `signature.wrong`: only what is as it was made is signed;
            `signature.unwritable`.
    """
    read_kit(path)
    with opened_kit(path) as (_, kit):
        contents = {name: data for name, data in kit.contents() if name != SIGNATURE}
        signed = key.sign(msgspec.json.encode(kit.manifest))
    first = {MAIN: contents.pop(MAIN), ABOUT: contents.pop(ABOUT)}
    first[SIGNATURE] = msgspec.json.encode(signed)
    try:
        with appearing(path, mode=0o644) as file:
            write_zip(file, [*first.items(), *contents.items()], compress=False)
            sync(file)
        sync_folder(path.parent)
    except OSError as error:
        raise ProblemError(
            "signature.unwritable",
            f"{path}: {error.strerror}",
            params={"file": str(path)},
            hint="The signature goes into the kit: copy that to a folder of yours.",
        ) from None
