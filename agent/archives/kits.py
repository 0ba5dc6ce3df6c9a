"""Kits of the agent, as files: what is in one, and whether it is as it was made."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.kits import ABOUT, FORMAT, MAIN, SIGNATURE, KitAbout, KitManifest
from agent.protocol.problems import ProblemError
from agent.protocol.signatures import SignedManifest

# A wheel has some megabytes, and all of a kit some ten.
FILE_LIMIT_BYTES = 256 * 1024 * 1024
# The earliest date that a zip file can tell: the same source gives the same bytes.
NO_TIME = (1980, 1, 1, 0, 0, 0)
_FAULTS = (OSError, KeyError, ValueError, zipfile.BadZipFile, msgspec.MsgspecError)


class KitArchive:
    """A kit, open. All methods block, and raise ProblemError `kit.broken`."""

    def __init__(self, file: BinaryIO, *, name: str, hint: str) -> None:
        """`name` and `hint` are for whoever has to mend it.

        Raises:
            ProblemError: `kit.broken`; `signature.wrong`: what lies there as one is none.
        """
        self._name, self._hint = name, hint
        try:
            self._zip = zipfile.ZipFile(file)
            self.about_json, self._installer = self._zip.read(ABOUT), self._zip.read(MAIN)
            self.about = from_json(self.about_json, KitAbout)
        except _FAULTS as error:
            raise self._broken(str(error)) from None
        if self.about.format != FORMAT:
            raise self._broken(f"its format is {self.about.format}, not {FORMAT}")
        self.signed = self._signature()

    @property
    def manifest(self) -> KitManifest:
        """What a signature of it is about."""
        return KitManifest(
            id=self.about.id,
            version=self.about.version,
            arch=self.about.arch,
            installer=_digest(self._installer),
            about=_digest(self.about_json),
        )

    @property
    def fits(self) -> bool:
        """Whether its signature, whoever made it, is about this very kit."""
        try:
            return self.signed is not None and self.manifest == from_json(
                self.signed.manifest, KitManifest
            )
        except (msgspec.MsgspecError, ValueError):
            return False

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """All that belongs to it, the two that it is run and known by first."""
        yield MAIN, self._installer
        yield ABOUT, self.about_json
        if self.signed is not None:
            yield SIGNATURE, msgspec.json.encode(self.signed)
        for file in self.about.files:
            try:
                size = self._zip.getinfo(file.path).file_size
                data = self._zip.read(file.path) if size <= FILE_LIMIT_BYTES else b""
            except _FAULTS as error:
                raise self._broken(f"{file.path}: {error}") from None
            if hashlib.sha256(data).hexdigest() != file.sha256:
                raise self._broken(f"{file.path} is not as it was made")
            yield file.path, data

    def _signature(self) -> SignedManifest | None:
        if SIGNATURE not in self._zip.namelist():
            return None
        try:
            return from_json(self._zip.read(SIGNATURE), SignedManifest)
        except _FAULTS as error:
            raise ProblemError(
                "signature.wrong",
                f"{self._name}: its signature cannot be read: {error}",
                hint=self._hint,
            ) from None

    def _broken(self, why: str) -> ProblemError:
        return ProblemError("kit.broken", f"{self._name}: {why}", hint=self._hint)


def write_zip(file: Path | BinaryIO, files: Iterable[tuple[str, bytes]], *, compress: bool) -> None:
    """A zip file whose bytes depend on nothing but these. Raises OSError."""
    how = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", compression=how) as archive:
        for name, data in files:
            entry = zipfile.ZipInfo(name, NO_TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = how
            archive.writestr(entry, data)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
