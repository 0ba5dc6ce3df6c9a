"""Every package that an image's own databases name: dpkg's, apk's, and Python's `dist-info`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import msgspec

from agent.archives.dpkg_status import is_installed, is_status, stanzas
from agent.archives.faults import FaultError, told_about
from agent.archives.index import ArchivedImage, ArchiveIndex
from agent.archives.indexing import Heard, unheard
from agent.archives.layer_walk import visible, walk
from agent.archives.layers import unverified_layers
from agent.archives.needs import Listening
from agent.archives.sources import PartSource, Source
from agent.archives.tar_headers import Member

FILES_LIMIT = 20_000
# A desktop has 3,000; ten times as many are no image's.
PACKAGES_LIMIT = 50_000
OS_RELEASE_BYTES = 64 * 1024

APK = "lib/apk/db/installed"
METADATA = re.compile(r"(?:.*/)?[^/]+\.dist-info/METADATA")
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
# Databases that only rpm's own library reads.
RPM = re.compile(
    r"(?:var/lib/rpm|usr/(?:lib/sysimage|share)/rpm)/(?:Packages(?:\.db)?|rpmdb\.sqlite)"
)
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")  # "NAME", or "NAME (VERSION)" where that differs
# What is in no name and no version: spaces, and whatever a terminal would obey.
_WORD = re.compile(r"[!-~]{1,250}")
_FOLDERS = re.compile(
    r"var|lib|lib64|usr|local|opt|etc|apk|db|dpkg|status\.d|sysimage|share|rpm|python[^/]*"
    r"|(?:site|dist)-packages|[^/]+\.dist-info|\.?venv|conda"
)

Kind = Literal["deb", "apk", "pypi"]


class Package(msgspec.Struct, kw_only=True, frozen=True, order=True):
    """One that is installed. `source` is what it was built from, by its distribution's own name."""

    kind: Kind
    name: str
    version: str
    architecture: str = ""
    source: str = ""
    source_version: str = ""


class PackageFile(msgspec.Struct, kw_only=True):
    """What one file of an image says."""

    packages: list[Package] = []
    os: dict[str, str] = {}  # os-release: ID, VERSION_ID
    problem: str = ""  # why it says nothing, or there may be more


class LayerPackages(msgspec.Struct, kw_only=True):
    """What was found in a layer. `hidden` are paths that it takes away, with all below them."""

    files: dict[str, PackageFile] = {}
    hidden: list[str] = []
    problem: str = ""


class ImagePackages(msgspec.Struct, kw_only=True):
    """The packages of an image, in order; `unknown` says why there may be others."""

    os_id: str = ""  # os-release's ID: debian
    os_version: str = ""  # its VERSION_ID: 12
    packages: list[Package] = []
    unknown: list[str] = []


def packages_of(
    index: ArchiveIndex, image: ArchivedImage, *, heard: Heard = unheard
) -> ImagePackages:
    """Read once through the layers of an image in an archive. They are not verified.

    What `heard` raises ends it.

    Raises:
        ProblemError: `archive.changed`, or that the file cannot be read.
    """
    wanted = set(image.diff_ids)
    sizes = {each.diff_id: each.size_bytes for each in index.layers if each.diff_id in wanted}
    layers: dict[str, LayerPackages] = {}
    done, total = 0, sum(sizes.values())
    with told_about(index.path):
        for layer, source in unverified_layers(index, sizes.keys()):
            layers[layer.diff_id] = layer_packages(Listening(source, heard, done, total))
            done += layer.size_bytes
            heard(done, total)
    lacking = sum(diff_id not in layers for diff_id in image.diff_ids)
    found = put_together(layers[each] for each in image.diff_ids if each in layers)
    if lacking:
        found.unknown.append(f"{lacking} of its layers are not in the archive")
    return found


def layer_packages(source: Source) -> LayerPackages:
    """Pass once over a layer's tar. What is wrong with it is the answer's `problem`."""
    found = LayerPackages()
    found.problem = walk(source, found.hidden, partial(_look, found), folders=_FOLDERS)
    return found


def put_together(layers: Iterable[LayerPackages]) -> ImagePackages:
    """Of layers that lie on one another, the bottom one first."""
    below = list(layers)
    files = visible(below)
    made = ImagePackages(
        packages=sorted({package for file in files.values() for package in file.packages}),
        unknown=[f"layer {n}: {each.problem}" for n, each in enumerate(below, 1) if each.problem],
    )
    made.unknown += [f"/{path}: {file.problem}" for path, file in files.items() if file.problem]
    for path in OS_RELEASE:
        said = files[path].os if path in files else {}
        made.os_id = made.os_id or said.get("ID", "")
        made.os_version = made.os_version or said.get("VERSION_ID", "")
    return made


def _look(found: LayerPackages, path: str, member: Member, source: Source) -> None:
    if RPM.fullmatch(path):
        _add(found, path, PackageFile(problem="packages of rpm, which are not read here"))
    if member.kind != "file":
        return
    read = _reader(path)
    if read is None:
        return
    file = PackageFile()
    try:
        read(file, PartSource(source, member.size_bytes))
    except FaultError as fault:
        if fault.code != "archive.too_large":
            raise
        file.problem = fault.what
    _add(found, path, file)


def _add(found: LayerPackages, path: str, file: PackageFile) -> None:
    if len(found.files) >= FILES_LIMIT:
        raise FaultError("archive.too_large", f"more than {FILES_LIMIT} files name packages")
    found.files[path] = file


def _reader(path: str) -> Callable[[PackageFile, Source], None] | None:
    if is_status(path):
        return _read_dpkg
    if path == APK:
        return _read_apk
    if METADATA.fullmatch(path):
        return _read_python
    return _read_os_release if path in OS_RELEASE else None


def _read_dpkg(file: PackageFile, content: Source) -> None:
    for fields in stanzas(content, ("Package", "Status", "Version", "Architecture", "Source")):
        if not is_installed(fields):
            continue
        name, version = fields.get("Package", ""), fields.get("Version", "")
        source = _SOURCE.fullmatch(fields.get("Source", name))
        _take(
            file,
            Package(
                kind="deb",
                name=name,
                version=version,
                architecture=fields.get("Architecture", ""),
                source=source[1] if source else name,
                source_version=(source[2] if source else None) or version,
            ),
        )


def _read_apk(file: PackageFile, content: Source) -> None:
    for fields in stanzas(content, ("P", "V", "A", "o")):
        name, version = fields.get("P", ""), fields.get("V", "")
        _take(
            file,
            Package(
                kind="apk",
                name=name,
                version=version,
                architecture=fields.get("A", ""),
                source=fields.get("o", name),
                source_version=version,
            ),
        )


def _read_python(file: PackageFile, content: Source) -> None:
    # Behind the first paragraph is the description, in which anything may stand.
    fields = next(stanzas(content, ("Name", "Version")), {})
    name, version = fields.get("Name", ""), fields.get("Version", "")
    _take(file, Package(kind="pypi", name=name, version=version))


def _read_os_release(file: PackageFile, content: Source) -> None:
    for line in content.read(OS_RELEASE_BYTES).decode("utf-8", "replace").splitlines():
        key, _, value = line.partition("=")
        word = value.strip("\"' ")
        if key in ("ID", "VERSION_ID") and _WORD.fullmatch(word):
            file.os[key] = word


def _take(file: PackageFile, package: Package) -> None:
    if len(file.packages) >= PACKAGES_LIMIT:
        raise FaultError("archive.too_large", f"it names more than {PACKAGES_LIMIT} packages")
    words = (package.name, package.version)
    others = (package.architecture, package.source, package.source_version)
    if all(map(_WORD.fullmatch, words)) and all(_WORD.fullmatch(each) for each in others if each):
        file.packages.append(package)
    else:
        file.problem = "a package has no proper name or version"
