"""Which advisories are about the packages of images and nodes, all in one pass over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from univers.versions import InvalidVersion

from agent.protocol.packages import Kind, Package, PackageList
from console.images.osv import OsvAdvisory, OsvAffected, OsvPackage
from console.images.osv_ecosystems import (
    ecosystem_of,
    has_releases,
    is_release,
    names_of,
    normal_name,
)
from console.images.osv_ranges import is_affected
from console.images.severity import LEVELS, Level, level_of


class Hit(msgspec.Struct, kw_only=True, frozen=True, order=True):
    """An advisory about packages of an image."""

    id: str
    package: str  # as the advisory calls it
    version: str
    severity: Level | None = None  # None: the advisory says nothing of it
    fixed: str | None  # the first version without it; None: the advisory names none
    installed: tuple[str, ...]  # the packages that were built from it
    aliases: tuple[str, ...] = ()  # other names of the same
    upstream: tuple[str, ...] = ()  # what it is about, where that has a name of its own: CVE-...
    summary: str = ""

    def reaches(self, level: Level | None) -> bool:
        """Whether it is at least as bad; None: however bad. What nobody has rated may be."""
        if level is None or self.severity is None:
            return True
        return LEVELS.index(self.severity) >= LEVELS.index(level)


class Scan(msgspec.Struct, kw_only=True):
    """What advisories say of one list of packages."""

    hits: list[Hit] = []
    unknown: list[str] = []  # what could not be compared, and why


class Read(msgspec.Struct, kw_only=True):
    """The advisories that were compared."""

    advisories: int = 0
    newest: str = ""  # when the last of them was changed, as it says: 2026-01-31T00:00:00Z


def scan(
    advisories: Iterable[OsvAdvisory], lists: Sequence[PackageList]
) -> tuple[Read, list[Scan]]:
    """Which of them are about what is installed, for each of these lists."""
    read = Read()
    subjects = [_Subject(each) for each in lists]
    for advisory in advisories:
        read.advisories += 1
        read.newest = max(read.newest, advisory.modified)
        for affected in advisory.affected or ():
            about = affected.package or OsvPackage()
            ecosystem, _, release = about.ecosystem.partition(":")
            for subject in subjects:
                subject.take(advisory, affected, ecosystem, release)
    return read, [subject.scan() for subject in subjects]


class _Subject:
    def __init__(self, found: PackageList) -> None:
        self._found = found
        # By ecosystem and name, the packages by version.
        self._installed: dict[tuple[str, str], dict[str, list[Package]]] = {}
        self._silent: dict[str, Kind] = {}  # ecosystems of which no advisory was seen
        self._hits: list[Hit] = []
        self._unknown: list[str] = []
        nameless = set()
        for package in found.packages:
            if package.part_of or package.kind == "generic":
                continue  # the distribution's advisories tell; nobody's do
            ecosystem = ecosystem_of(package, found)
            if ecosystem is None:
                nameless.add(package.kind)
                continue
            self._silent[ecosystem] = package.kind
            for name, version in names_of(package):
                versions = self._installed.setdefault((ecosystem, name), {})
                versions.setdefault(version, []).append(package)
        if found.packages and not self._installed and not nameless:
            self._unknown.append("none of its packages is of a distribution or an index")
        where = found.os_id or "no known distribution"
        self._unknown += [
            f"packages of {kind}: of {where} nothing is known" for kind in sorted(nameless)
        ]

    def take(
        self, advisory: OsvAdvisory, affected: OsvAffected, ecosystem: str, release: str
    ) -> None:
        if not is_release(ecosystem, release, self._found.os_version):
            return
        self._silent.pop(ecosystem, None)
        name = normal_name(ecosystem, affected.package.name if affected.package else "")
        if advisory.withdrawn is not None:
            return
        for version, packages in self._installed.get((ecosystem, name), {}).items():
            try:
                is_hit, fixed = is_affected(affected, version, packages[0].kind)
            except InvalidVersion as error:
                self._unknown.append(f"{advisory.id}, {name} {version}: {error}")
                continue
            if is_hit:
                self._hits.append(_hit(advisory, affected, version, fixed, packages))

    def scan(self) -> Scan:
        for ecosystem, kind in sorted(self._silent.items()):
            where = ecosystem
            if has_releases(ecosystem):
                where = f"{ecosystem} {self._found.os_version or 'of an unknown release'}"
            self._unknown.append(f"packages of {kind}: no advisory is about {where}")
        return Scan(hits=merged(self._hits), unknown=list(dict.fromkeys(self._unknown)))


def _hit(
    advisory: OsvAdvisory,
    affected: OsvAffected,
    version: str,
    fixed: str | None,
    packages: Sequence[Package],
) -> Hit:
    return Hit(
        id=advisory.id,
        package=affected.package.name if affected.package else "",
        version=version,
        severity=level_of(advisory, affected),
        fixed=fixed,
        installed=tuple(sorted({each.name for each in packages})),
        aliases=tuple(dict.fromkeys(advisory.aliases or ())),
        upstream=tuple(dict.fromkeys(advisory.upstream or ())),
        summary=advisory.summary,
    )


def merged(hits: Iterable[Hit]) -> list[Hit]:
    """One of each: databases name the same finding by each other's names."""
    made: list[Hit] = []
    places: dict[tuple[str, str, str], int] = {}  # by package, version and any of its names
    for hit in sorted(set(hits)):
        keys = [(hit.package, hit.version, name) for name in (hit.id, *hit.aliases)]
        at = next((places[key] for key in keys if key in places), len(made))
        if at == len(made):
            made.append(hit)
        else:
            made[at] = _both(made[at], hit)
        for key in keys:
            places.setdefault(key, at)
    return made


def _both(one: Hit, other: Hit) -> Hit:
    names = [*one.aliases, other.id, *other.aliases]
    levels = [each for each in (one.severity, other.severity) if each is not None]
    return msgspec.structs.replace(
        one,
        severity=max(levels, key=LEVELS.index, default=None),
        fixed=one.fixed or other.fixed,
        installed=tuple(sorted({*one.installed, *other.installed})),
        aliases=tuple(each for each in dict.fromkeys(names) if each != one.id),
        upstream=tuple(dict.fromkeys([*one.upstream, *other.upstream])),
        summary=one.summary or other.summary,
    )


def told(read: Read) -> str:
    """What was compared, in words."""
    of = f", the newest of {read.newest[:10]}" if read.newest else ""
    what = "1 advisory" if read.advisories == 1 else f"{read.advisories} advisories"
    return f"{what}{of}"
