"""Advisories in OSV's format (schema 1.7) out of files: one, a list, or the zip of an ecosystem."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.problems import ProblemError

# What zipfile raises of an archive that is damaged, or packed in a way that it does not know.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
# An advisory has some KB; the longest names hundreds of versions.
ADVISORY_BYTES = 16 * 1024 * 1024


class OsvPackage(msgspec.Struct):
    """Whom it is about: a distribution's package, or a project of an index."""

    ecosystem: str = ""
    name: str = ""


class OsvEvent(msgspec.Struct):
    """Where a range begins or ends; one of them is said."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class OsvRange(msgspec.Struct):
    """Versions, between events."""

    type: str = ""
    events: list[OsvEvent] | None = None


class OsvSeverity(msgspec.Struct):
    """`score` is a vector of CVSS, or Ubuntu's word."""

    type: str = ""
    score: str = ""


class OsvAffected(msgspec.Struct):
    """The versions of one package."""

    package: OsvPackage | None = None
    ranges: list[OsvRange] | None = None
    versions: list[str] | None = None
    severity: list[OsvSeverity] | None = None
    ecosystem_specific: Any = None
    database_specific: Any = None


class OsvAdvisory(msgspec.Struct):
    """What is read of an advisory."""

    id: str
    modified: str = ""
    summary: str = ""
    aliases: list[str] | None = None
    upstream: list[str] | None = None
    withdrawn: str | None = None
    severity: list[OsvSeverity] | None = None
    affected: list[OsvAffected] | None = None
    database_specific: Any = None


def check_readable(files: Iterable[Path]) -> None:
    """Before nodes read for minutes. Raises ProblemError `advisories.unreadable`."""
    for file in files:
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            raise _unreadable(f"{file}: {error.strerror or error}", file) from None


def read_advisories(file: Path) -> Iterator[OsvAdvisory]:
    """Of a JSON file with one or a list of them, or a zip archive of such files.

    Raises:
        ProblemError: `advisories.unreadable`.
    """
    try:
        if zipfile.is_zipfile(file):
            yield from _of_archive(file)
        else:
            yield from _of_text(file.read_bytes(), str(file))
    except (OSError, RuntimeError, *_DAMAGED) as error:
        why = getattr(error, "strerror", None) or str(error) or "it ends too early"
        raise _unreadable(f"{file}: {why}", file) from None


def _of_archive(file: Path) -> Iterator[OsvAdvisory]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".json"):
                continue
            if member.file_size > ADVISORY_BYTES:
                raise _unreadable(f"{file}: {member.filename} has {member.file_size} bytes", file)
            yield from _of_text(archive.read(member), f"{file}: {member.filename}")


def _of_text(text: bytes, where: str) -> Iterator[OsvAdvisory]:
    try:
        if text.lstrip()[:1] == b"[":
            yield from from_json(text, list[OsvAdvisory])
        else:
            yield from_json(text, OsvAdvisory)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(f"{where} is no advisory: {error}", Path(where)) from None


def _unreadable(what: str, file: Path) -> ProblemError:
    return ProblemError(
        "advisories.unreadable",
        what,
        params={"file": str(file)},
        hint="Name a JSON file in OSV's format, or a zip archive of them.",
    )
