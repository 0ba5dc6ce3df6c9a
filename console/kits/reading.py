"""Kits that are there already: which one a host can take."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.problems import ProblemError
from console.kits.making import FORMAT, KitAbout
from console.kits.wheels import write_zip

READ_BYTES = 1 << 20


class Kit(msgspec.Struct, frozen=True):
    """A kit file."""

    path: Path
    about: KitAbout
    size_bytes: int
    sha256: str

    def without_wheels(self) -> bytes:
        """Enough of it to be asked what it would do on a host: some 20 KB."""
        with zipfile.ZipFile(self.path) as whole:
            kept = [(name, whole.read(name)) for name in ("__main__.py", "kit.json")]
        small = io.BytesIO()
        write_zip(small, kept, compress=True)
        return small.getvalue()


def read_kit(path: Path) -> Kit:
    """A kit, whole as far as its list tells. Blocks.

    Raises:
        ProblemError: `kit.broken`.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(READ_BYTES):
                digest.update(data)
        with zipfile.ZipFile(path) as whole:
            about = from_json(whole.read("kit.json"), KitAbout)
            names = set(whole.namelist())
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise ProblemError(
            "kit.broken", f"{path}: {error}", hint="Make one: roost agent kit make"
        ) from None
    lacks = [file.path for file in about.files if file.path not in names]
    if about.format != FORMAT or lacks:
        why = f"it lacks {lacks[0]}" if lacks else f"its format is {about.format}, not {FORMAT}"
        raise ProblemError("kit.broken", f"{path}: {why}", hint="Make one: roost agent kit make")
    return Kit(path, about, path.stat().st_size, digest.hexdigest())


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
