"""Kits that are there already: which one a host can take."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.archives.kits import KitArchive, write_zip
from agent.protocol.kits import ABOUT, MAIN, SIGNATURE, KitAbout
from agent.protocol.problems import ProblemError
from agent.signatures.public_keys import parse_public_key, signs

READ_BYTES = 1 << 20
MAKE = "Make one: roost agent kit make"
_SMALL = (MAIN, ABOUT, SIGNATURE)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed a kit; that the signature fits, not that the key is the right one."""

    fingerprint: str
    name: str


class Kit(msgspec.Struct, frozen=True):
    """A kit file, which is as it was made, and as it was signed."""

    path: Path
    about: KitAbout
    size_bytes: int
    sha256: str
    signer: Signer | None = None  # None: nobody has signed it

    @property
    def signed_by(self) -> str:
        """For a person."""
        signer = self.signer
        if signer is None:
            return "nobody has signed it"
        return f"signed by {signer.fingerprint} ({signer.name or 'without a name'})"

    def without_wheels(self) -> bytes:
        """Enough of it to be asked what it would do on a host: some 20 KB."""
        with zipfile.ZipFile(self.path) as whole:
            there = set(whole.namelist())
            kept = [(name, whole.read(name)) for name in _SMALL if name in there]
        small = io.BytesIO()
        write_zip(small, kept, compress=True)
        return small.getvalue()


def read_kit(path: Path) -> Kit:
    """A kit, all of which is as its list and its signature tell. Blocks.

    Raises:
        ProblemError: `kit.broken`; `signature.wrong`: it is not what was signed.
    """
    digest = hashlib.sha256()
    with opened_kit(path) as (file, kit):
        for _ in kit.contents():
            pass
        signer = _signer(path, kit)
        file.seek(0)
        while data := file.read(READ_BYTES):
            digest.update(data)
        size_bytes = file.tell()
    return Kit(path, kit.about, size_bytes, digest.hexdigest(), signer)


@contextlib.contextmanager
def opened_kit(path: Path) -> Iterator[tuple[BinaryIO, KitArchive]]:
    """Its file, and what it is. Blocks. Raises ProblemError `kit.broken`, `signature.wrong`."""
    try:
        with path.open("rb") as file:
            yield file, KitArchive(file, name=str(path), hint=MAKE)
    except OSError as error:
        raise ProblemError("kit.broken", f"{path}: {error}", hint=MAKE) from None


def _signer(path: Path, kit: KitArchive) -> Signer | None:
    signed = kit.signed
    if signed is None:
        return None
    try:
        key = parse_public_key(signed.key)
        why = None if signs(key, signed.manifest, signed.signature) else "it did not sign that"
        name = key.fingerprint
    except ProblemError as problem:
        why, name = problem.detail, "nobody who can be known"
    if why is None and not kit.fits:
        why = "what was signed is another kit"
    if why is not None:
        raise ProblemError(
            "signature.wrong",
            f"{path}: it says that {name} signed it: {why}",
            params={"file": str(path)},
            hint="Do not use it; get it again from whoever made it.",
        )
    return Signer(fingerprint=key.fingerprint, name=key.name)


def kits_by_arch(paths: Sequence[Path]) -> Mapping[str, Kit]:
    """One for each architecture. Blocks.

    Raises:
        ProblemError: `kit.broken`; `kit.twice`: two for one architecture.
    """
    found: dict[str, Kit] = {}
    for path in paths:
        kit = read_kit(path)
        if other := found.get(kit.about.arch):
            raise ProblemError(
                "kit.twice",
                f"{other.path} and {path} are both for {kit.about.arch}",
                hint="Name one.",
            )
        found[kit.about.arch] = kit
    return found
