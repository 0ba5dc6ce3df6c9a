"""A kit that came as a blob: copied beside the versions, looked at, unpacked by its own code."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec

from agent.archives.kits import KitArchive, write_zip
from agent.durable import appearing
from agent.images.blobs import Blobs
from agent.protocol.decoding import from_json
from agent.protocol.problems import CODES, ProblemError

NAME = ".upgrade.pyz"
# A folder's name and nothing else.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
KIT_LIMIT_BYTES = 256 << 20  # one has some fifteen megabytes
LINE_LIMIT_BYTES = 1 << 16
AGAIN = "Send it again: roost agent upgrade"


class KitFacts(msgspec.Struct, kw_only=True):
    """What of `kit.json` is looked at here."""

    id: str
    version: str
    arch: str


class _Refusal(msgspec.Struct, kw_only=True):
    code: str
    detail: str
    hint: str


class _Said(msgspec.Struct, kw_only=True):
    """A line of the installer at work: one of the two."""

    says: str | None = None
    problem: _Refusal | None = None


def copy_kit(
    blobs: Blobs, digest: str, root: Path, vouch: Callable[[KitArchive], None]
) -> tuple[Path, KitFacts]:
    """The kit as a file of its own, with what it says of itself. Blocks.

    Nothing is written before all that it says of itself is true and `vouch` has let it pass. What
    is written, and run then, is what was looked at, however its zip file may be read otherwise.

    Raises:
        ProblemError: `blob.not_found`, `kit.broken`, `kit.write`; what `vouch` raises.
    """
    path = root / NAME
    try:
        with contextlib.closing(blobs.open(digest)) as source:
            data = source.read(KIT_LIMIT_BYTES)
    except OSError as error:
        raise ProblemError("kit.broken", f"it cannot be read: {error}", hint=AGAIN) from None
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        blobs.remove(digest)
        raise ProblemError("kit.broken", "what lies here is not what was sent", hint=AGAIN)
    kit = KitArchive(io.BytesIO(data), name="the kit", hint=AGAIN)
    if not ID.fullmatch(kit.about.id):
        raise ProblemError("kit.broken", f"{kit.about.id!r} is no name of a kit", hint=AGAIN)
    vouch(kit)
    contents = list(kit.contents())
    try:
        for left in root.glob(f".{NAME}.*.tmp"):  # by one that was cut
            left.unlink()
        with appearing(path, mode=0o600) as file:
            write_zip(file, contents, compress=False)
    except OSError as error:
        raise ProblemError(
            "kit.write", f"{path}: {error}", hint="Make room there, and try again."
        ) from None
    return path, KitFacts(id=kit.about.id, version=kit.about.version, arch=kit.about.arch)


def kept_kit(root: Path, name: str) -> KitFacts:
    """What a version says of itself that was unpacked before. Blocks.

    Raises:
        ProblemError: `kit.none`.
    """
    try:
        if ID.fullmatch(name):
            return from_json((root / name / "kit.json").read_bytes(), KitFacts)
        why = "that is no name of a kit"
    except (OSError, msgspec.MsgspecError) as error:
        why = str(error)
    raise ProblemError("kit.none", f"{name} is not kept here: {why}", hint=AGAIN)


async def unpack_kit(path: Path, hear: Callable[[str], None]) -> None:
    """Have the kit's own installer unpack it beside the version that runs.

    Raises:
        ProblemError: `kit.*`: nothing was changed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-IS", str(path), "unpack", "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LINE_LIMIT_BYTES,
    )
    refusal: _Refusal | None = None
    last = ""
    try:
        async for line in cast("asyncio.StreamReader", process.stdout):
            last = line.decode(errors="replace").strip() or last
            with contextlib.suppress(msgspec.MsgspecError):
                said = from_json(line, _Said)
                refusal = said.problem or refusal
                if said.says:
                    hear(said.says)
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if refusal is not None:
        code = refusal.code if refusal.code in CODES else "kit.installer"
        raise ProblemError(code, refusal.detail, hint=refusal.hint)
    if status:
        raise ProblemError(
            "kit.installer",
            f"the kit's installer ended with status {status}: {last[-300:]}",
            hint="Make the kit again: roost agent kit make",
        )
