"""Advisories in OSV's format out of a file, and which of an image's packages they are about."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name
from univers.versions import AlpineLinuxVersion, DebianVersion, InvalidVersion, PypiVersion, Version

from agent.archives.package_lists import ImagePackages, Kind, Package
from agent.protocol.decoding import from_json
from agent.protocol.problems import ProblemError

# An advisory has some KB; the longest names hundreds of versions.
ADVISORY_BYTES = 16 * 1024 * 1024
_VERSIONS: dict[Kind, type[Version]] = {
    "deb": DebianVersion,
    "apk": AlpineLinuxVersion,
    "pypi": PypiVersion,
}
_DISTRIBUTIONS = {"debian": "Debian", "ubuntu": "Ubuntu", "alpine": "Alpine"}


class OsvPackage(msgspec.Struct):
    """Whom it is about: a distribution's source package, or a project of an index."""

    ecosystem: str = ""
    name: str = ""


class OsvEvent(msgspec.Struct):
    """Where a range begins or ends; one of them is said."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None


class OsvRange(msgspec.Struct):
    """Versions, between events in their order."""

    type: str = ""
    events: list[OsvEvent] | None = None


class OsvAffected(msgspec.Struct):
    """The versions of one package."""

    package: OsvPackage | None = None
    ranges: list[OsvRange] | None = None
    versions: list[str] | None = None


class OsvAdvisory(msgspec.Struct):
    """What is read of an advisory."""

    id: str
    summary: str = ""
    aliases: list[str] | None = None
    upstream: list[str] | None = None
    withdrawn: str | None = None
    affected: list[OsvAffected] | None = None


class Hit(msgspec.Struct, kw_only=True, frozen=True, order=True):
    """An advisory about packages of an image."""

    id: str
    package: str  # as the advisory calls it
    version: str
    fixed: str | None  # the first version without it; None: the advisory names none
    installed: tuple[str, ...]  # the packages that were built from it
    also: tuple[str, ...]  # other names of the same: CVE-...
    summary: str


class Scan(msgspec.Struct, kw_only=True):
    """What a file of advisories says of an image."""

    advisories: int = 0  # that were read
    hits: list[Hit] = []
    unknown: list[str] = []  # what could not be compared, and why


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
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise _unreadable(f"{file}: {getattr(error, 'strerror', None) or error}", file) from None


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


def scan(advisories: Iterable[OsvAdvisory], image: ImagePackages) -> Scan:
    """Which of them are about what the image has."""
    told = Scan()
    installed: dict[tuple[str, str], dict[str, list[Package]]] = {}
    silent = set()
    for package in image.packages:
        distribution = _distribution(package, image)
        if distribution is None:
            silent.add(package.kind)
            continue
        name, version = _asked(package)
        installed.setdefault((distribution, name), {}).setdefault(version, []).append(package)
    where = image.os_id or "no known distribution"
    told.unknown = [f"packages of {kind}: of {where} nothing is known" for kind in sorted(silent)]
    for advisory in advisories:
        told.advisories += 1
        if advisory.withdrawn is None:
            _compare(advisory, installed, image, told)
    told.hits = sorted(set(told.hits))
    told.unknown = list(dict.fromkeys(told.unknown))
    return told


def _compare(
    advisory: OsvAdvisory,
    installed: dict[tuple[str, str], dict[str, list[Package]]],
    image: ImagePackages,
    told: Scan,
) -> None:
    for affected in advisory.affected or ():
        about = affected.package or OsvPackage()
        base, _, release = about.ecosystem.partition(":")
        name = about.name
        versions = installed.get((base, canonicalize_name(name) if base == "PyPI" else name), {})
        if not versions or not _is_release(base, release, image.os_version):
            continue
        for version, packages in versions.items():
            try:
                is_hit, fixed = _is_affected(affected, version, packages[0].kind)
            except InvalidVersion as error:
                told.unknown.append(f"{advisory.id}, {name} {version}: {error}")
                continue
            if is_hit:
                told.hits.append(
                    Hit(
                        id=advisory.id,
                        package=name,
                        version=version,
                        fixed=fixed,
                        installed=tuple(sorted({each.name for each in packages})),
                        also=tuple(
                            dict.fromkeys([*(advisory.aliases or ()), *(advisory.upstream or ())])
                        ),
                        summary=advisory.summary,
                    )
                )


def _is_affected(affected: OsvAffected, version: str, kind: Kind) -> tuple[bool, str | None]:
    """Whether this version is, and the first later one that is not."""
    order = _VERSIONS[kind]
    own = order(version)
    # Commits say nothing of versions.
    ranges = [
        each.events or () for each in affected.ranges or () if each.type in ("ECOSYSTEM", "SEMVER")
    ]
    is_hit = version in (affected.versions or ()) or any(
        _holds(order, own, each) for each in ranges
    )
    fixed = [event.fixed for events in ranges for event in events if event.fixed is not None]
    return is_hit, min((each for each in fixed if own < order(each)), key=order, default=None)


def _holds(order: type[Version], own: Version, events: Iterable[OsvEvent]) -> bool:
    """By the last event that comes before this version, or with it."""
    latest: Version | None = None
    is_hit = False
    for event in events:
        if event.introduced == "0":  # before all others
            is_hit = is_hit or latest is None
            continue
        text = event.introduced or event.fixed or event.last_affected
        if text is None:
            continue
        where = order(text)
        # By `<` alone: of some ecosystems' versions univers compares `<=` as texts.
        passed = where < own if event.last_affected is not None else not own < where
        if passed and (latest is None or not where < latest):
            latest, is_hit = where, event.introduced is not None
    return is_hit


def _asked(package: Package) -> tuple[str, str]:
    """The name and version that advisories speak of."""
    if package.kind == "pypi":
        return canonicalize_name(package.name), package.version
    return package.source or package.name, package.source_version or package.version


def _distribution(package: Package, image: ImagePackages) -> str | None:
    """What OSV calls where it is from; None: it does not know that."""
    return "PyPI" if package.kind == "pypi" else _DISTRIBUTIONS.get(image.os_id)


def _is_release(base: str, release: str, version: str) -> bool:
    """Whether `Debian:12`, `Ubuntu:22.04:LTS`, `Alpine:v3.18` is the image's own."""
    if not release:
        return True
    words = release.split(":")
    if base == "Alpine":
        return words[0] == "v" + ".".join(version.split(".")[:2])
    # Ubuntu's "Pro" has packages of its own.
    return version in words and "Pro" not in words
