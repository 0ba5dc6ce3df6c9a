"""The packages that an SBOM names: one of SPDX 2.2 or 2.3 in JSON, of Roost or of another tool."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from agent.archives.rpm_header import source_of
from agent.protocol.decoding import from_json
from agent.protocol.packages import DISTRIBUTION_KINDS, Kind, Package, PackageList
from agent.protocol.problems import ProblemError
from console.images.purl import ReadPurl, read_purl
from console.images.spdx import BUILT_FROM, DOCUMENT, MAY_BE_MORE, PART_OF
from console.text import plural

SBOM_BYTES = 256 * 1024 * 1024
_BEGINNING_BYTES = 4096


class _Reference(msgspec.Struct):
    type: str = msgspec.field(name="referenceType", default="")
    locator: str = msgspec.field(name="referenceLocator", default="")


class _SpdxPackage(msgspec.Struct):
    id: str = msgspec.field(name="SPDXID")
    name: str
    comment: str = ""
    source: str = msgspec.field(name="sourceInfo", default="")
    references: list[_Reference] = msgspec.field(name="externalRefs", default_factory=list)


class _Relation(msgspec.Struct):
    one: str = msgspec.field(name="spdxElementId")
    how: str = msgspec.field(name="relationshipType")
    other: str = msgspec.field(name="relatedSpdxElement")


class _Document(msgspec.Struct):
    version: str = msgspec.field(name="spdxVersion")
    name: str = ""
    packages: list[_SpdxPackage] = []
    relations: list[_Relation] = msgspec.field(name="relationships", default_factory=list)


class ReadSubject(msgspec.Struct):
    """What packages are in, by its name in the SBOM."""

    name: str
    found: PackageList


def is_sbom(file: Path) -> bool:
    """Whether it looks like one; archives are tars, or compressed."""
    try:
        with file.open("rb") as opened:
            return opened.read(_BEGINNING_BYTES).lstrip()[:1] == b"{"
    except OSError:
        return False


def read_sbom(file: Path) -> list[ReadSubject]:
    """The packages of each thing that it describes.

    Raises:
        ProblemError: `sbom.unreadable`.
    """
    try:
        if file.stat().st_size > SBOM_BYTES:
            raise _unreadable(file, f"it has more than {SBOM_BYTES} bytes")
        said = from_json(file.read_bytes(), _Document)
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(file, str(error)) from None
    if said.version not in ("SPDX-2.2", "SPDX-2.3"):
        raise _unreadable(file, f"it says that it is {said.version}")
    return _subjects(said, file)


def _subjects(said: _Document, file: Path) -> list[ReadSubject]:
    described = {each.other for each in said.relations if each.how == "DESCRIBES"}
    described |= {each.one for each in said.relations if each.how == "DESCRIBED_BY"}
    inside = {
        each.other: each.one
        for each in said.relations
        if each.how == "CONTAINS" and each.one in described
    }
    # Where nothing says what a package is in, it is in all that the document is about.
    subjects: dict[str, _Gathered] = {}
    for package in said.packages:
        if package.id in described:
            subjects[package.id] = _Gathered(package.name, package.comment)
    for package in said.packages:
        if package.id in described and package.id not in inside:
            continue
        where = inside.get(package.id) or (next(iter(subjects)) if len(subjects) == 1 else DOCUMENT)
        if where not in subjects:
            subjects[where] = _Gathered(said.name or file.name, "")
        subjects[where].take(package)
    return [each.subject() for each in subjects.values()]


class _Gathered:
    def __init__(self, name: str, comment: str) -> None:
        self._name = name
        self._found = PackageList()
        if comment.startswith(MAY_BE_MORE):
            self._found.unknown.append(comment.removeprefix(MAY_BE_MORE))
        self._others: Counter[str] = Counter()

    def take(self, package: _SpdxPackage) -> None:
        texts = [each.locator for each in package.references if each.type == "purl"]
        read = read_purl(texts[0]) if texts else None
        if read is None:
            self._others["without a package URL"] += 1
        elif read.kind is None:
            self._others[f"of {read.type}"] += 1
        else:
            self._found.packages.append(_package(package, read, read.kind))
            if read.os_id and not self._found.os_id:
                self._found.os_id, self._found.os_version = read.os_id, read.os_version

    def subject(self) -> ReadSubject:
        found = self._found
        found.packages = sorted(set(found.packages))
        found.unknown += [
            f"{plural(count, 'package')} {of}: not compared here"
            for of, count in sorted(self._others.items())
        ]
        if not found.packages and not found.unknown:
            found.unknown.append("the SBOM names no package of it")
        return ReadSubject(self._name, found)


def _package(said: _SpdxPackage, read: ReadPurl, kind: Kind) -> Package:
    source, version = "", ""
    if said.source.startswith(BUILT_FROM):
        source, _, version = said.source.removeprefix(BUILT_FROM).partition(" ")
    elif kind == "rpm" and (built := source_of(read.upstream)):
        source, version = built
    elif read.upstream:
        source, _, version = read.upstream.partition("@")
    own = kind in DISTRIBUTION_KINDS
    part = said.comment.removeprefix(PART_OF) if said.comment.startswith(PART_OF) else ""
    return Package(
        kind=kind,
        name=said.name if kind == "pypi" else read.name,
        version=read.version,
        architecture=read.architecture,
        source=source or (read.name if own else ""),
        source_version=version or (read.version if own else ""),
        part_of=part,
    )


def _unreadable(file: Path, why: str) -> ProblemError:
    return ProblemError(
        "sbom.unreadable",
        f"{file}: {why}",
        params={"file": str(file)},
        hint="Name an SBOM in SPDX 2.3 as JSON: roost image sbom makes them.",
    )
