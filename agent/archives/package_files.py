"""The files that say which packages are installed: what each of them is, and what it says."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import msgspec

from agent.archives import rpm_database
from agent.archives.dpkg_status import is_present, is_status, lines, stanzas
from agent.archives.faults import FaultError, shown
from agent.archives.sources import Source
from agent.protocol.decoding import from_json
from agent.protocol.packages import Package

# A desktop has 3,000; ten times as many are no image's.
PACKAGES_LIMIT = 50_000
SMALL_BYTES = 64 * 1024
PACKAGE_JSON_BYTES = 1024 * 1024
PATH_LIMIT = 4096  # Linux's PATH_MAX

APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")  # with or without merged /usr
DPKG_LIST = re.compile(r"var/lib/dpkg/info/([^/]+?)(?::[a-z0-9-]+)?\.list")
DPKG_FOLDER = "var/lib/dpkg/info/"
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
CUDA_VERSION = re.compile(r"usr/local/cuda(?:-[0-9.]+)?/version\.json")
_NODE_MODULE = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/@.][^/]*/package\.json")
# Databases that nobody reads here.
_OTHERS = {
    re.compile(r"var/lib/pacman/local/ALPM_DB_VERSION"): "packages of pacman",
    re.compile(r"(?:usr|var)/lib/opkg/status"): "packages of opkg",
    re.compile(r"(?:.*/)?conda-meta/history"): "packages of conda other than Python's",
}
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")  # "NAME", or "NAME (VERSION)" where that differs
# What is in no name and no version: spaces, and whatever a terminal would obey.
WORD = re.compile(r"[!-~]{1,250}")


class PackageFile(msgspec.Struct, kw_only=True):
    """What one file says."""

    packages: list[Package] = []
    os: dict[str, str] = {}  # os-release: ID, VERSION_ID
    # Files of Python and npm that a distribution's package brought, by their paths.
    owned: dict[str, str] = {}
    problem: str = ""  # why it says nothing, or there may be more


Reader = Callable[[PackageFile, Source], None]


def reader_of(path: str) -> Reader | None:
    """What reads the file at this path of an image; None: it names no package."""
    name = posixpath.basename(path)
    if path.startswith(("var/", "lib/", "usr/", "etc/")) and (fixed := _fixed(path)) is not None:
        return fixed
    if is_python(path, name):
        return _read_python
    if name == "package.json" and _NODE_MODULE.fullmatch(path):
        return _read_npm
    if name == "history" and (why := _unread(path)):
        return partial(_tell, why)
    return None


def _fixed(path: str) -> Reader | None:
    if is_status(path):
        return _read_dpkg
    if path.startswith(DPKG_FOLDER):
        match = DPKG_LIST.fullmatch(path)
        return partial(_read_dpkg_list, match[1]) if match else None
    if path in APK:
        return _read_apk
    if path in OS_RELEASE:
        return _read_os_release
    if rpm_database.SQLITE.fullmatch(path):
        return _read_rpm
    if rpm_database.JOURNAL.fullmatch(path):
        return _read_journal
    if CUDA_VERSION.fullmatch(path):
        return _read_cuda
    why = _unread(path)
    return partial(_tell, why) if why else None


def is_database(path: str) -> bool:
    """Whether a distribution's packages are named there, or would be if it could be read."""
    return _fixed(path) is not None and path not in OS_RELEASE and not CUDA_VERSION.fullmatch(path)


def is_python(path: str, name: str) -> bool:
    """Whether it is what pip, setuptools or a distribution wrote of a project of Python's."""
    if name == "METADATA":
        return path.endswith(".dist-info/METADATA")
    if name == "PKG-INFO":
        return path.endswith((".egg-info/PKG-INFO", "/EGG-INFO/PKG-INFO"))
    return name.endswith(".egg-info")


def _unread(path: str) -> str:
    for pattern, why in rpm_database.UNREAD.items():
        if pattern.fullmatch(path):
            return why
    for pattern, what in _OTHERS.items():
        if pattern.fullmatch(path):
            return f"{what} are not read here"
    return ""


def _tell(why: str, file: PackageFile, _content: Source) -> None:
    file.problem = why


def _read_dpkg(file: PackageFile, content: Source) -> None:
    for fields in stanzas(content, ("Package", "Status", "Version", "Architecture", "Source")):
        if not is_present(fields):
            continue
        name, version = fields.get("Package", ""), fields.get("Version", "")
        source = _SOURCE.fullmatch(fields.get("Source", name))
        package = Package(
            kind="deb",
            name=name,
            version=version,
            architecture=fields.get("Architecture", ""),
            source=source[1] if source else name,
            source_version=(source[2] if source else None) or version,
        )
        _take(file, package)


def _read_dpkg_list(name: str, file: PackageFile, content: Source) -> None:
    for line in lines(content):
        _own(file, line, f"deb {name}")


def _read_apk(file: PackageFile, content: Source) -> None:
    for paragraph in _paragraphs(content):
        # A later line of one letter is of a file: the first is the package's.
        fields: dict[str, str] = {}
        folder = ""
        for line in paragraph:
            key, _, value = line.partition(":")
            if key == "F":
                folder = value
            elif key == "R":
                _own(file, f"{folder}/{value}", f"apk {fields.get('P', '')}")
            else:
                fields.setdefault(key, value.strip())
        name, version = fields.get("P", ""), fields.get("V", "")
        package = Package(
            kind="apk",
            name=name,
            version=version,
            architecture=fields.get("A", ""),
            source=fields.get("o", name),
            source_version=version,
        )
        _take(file, package)


def _paragraphs(content: Source) -> Iterator[list[str]]:
    paragraph: list[str] = []
    for line in lines(content):
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield paragraph
            paragraph = []
    if paragraph:
        yield paragraph


def _read_rpm(file: PackageFile, content: Source) -> None:
    try:
        for header in rpm_database.read_rpmdb(content):
            _take(file, header.package)
            for each in header.files:
                _own(file, each, f"rpm {header.package.name}")
    except FaultError as fault:
        if fault.code != "archive.damaged":
            raise
        file.problem = fault.what


def _read_journal(file: PackageFile, content: Source) -> None:
    if content.read(1):
        file.problem = rpm_database.OPEN_JOURNAL


def _read_python(file: PackageFile, content: Source) -> None:
    # Behind the first paragraph is the description, in which anything may stand.
    fields = next(stanzas(content, ("Name", "Version")), {})
    name, version = fields.get("Name", ""), fields.get("Version", "")
    _take(file, Package(kind="pypi", name=name, version=version))


class _PackageJson(msgspec.Struct):
    name: str = ""
    version: str = ""


class _CudaPart(msgspec.Struct):
    version: str = ""


class _CudaVersion(msgspec.Struct):
    cuda: _CudaPart | None = None


def _read_npm(file: PackageFile, content: Source) -> None:
    said = _from_json(_small(content, PACKAGE_JSON_BYTES), _PackageJson)
    if said is None:
        file.problem = "it is no package.json that npm would take"
    elif said.version:  # a workspace's own members have none
        _take(file, Package(kind="npm", name=said.name, version=said.version))


def _read_cuda(file: PackageFile, content: Source) -> None:
    """What NVIDIA's installers leave, also those that no package manager knows of."""
    said = _from_json(_small(content, SMALL_BYTES), _CudaVersion)
    if said is None:
        file.problem = "it does not say which CUDA it is"
    elif said.cuda is not None:
        _take(file, Package(kind="generic", name="cuda-toolkit", version=said.cuda.version))


def _read_os_release(file: PackageFile, content: Source) -> None:
    for line in _small(content, SMALL_BYTES).decode("utf-8", "replace").splitlines():
        key, _, value = line.partition("=")
        word = value.strip("\"' ")
        if key in ("ID", "VERSION_ID") and WORD.fullmatch(word):
            file.os[key] = word


T = TypeVar("T")


def _from_json(text: bytes, kind: type[T]) -> T | None:
    """None: it is not of this kind, is no UTF-8, or is nested without end."""
    try:
        return from_json(text, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _small(content: Source, limit: int) -> bytes:
    """All of it. Raises FaultError `archive.too_large`."""
    data = b""
    while len(data) <= limit and (more := content.read(limit + 1 - len(data))):
        data += more
    if len(data) > limit:
        raise FaultError("archive.too_large", f"it has more than {limit} bytes")
    return data


def _own(file: PackageFile, path: str, owner: str) -> None:
    path = path.strip().lstrip("/")
    if len(path) > PATH_LIMIT:
        return
    name = posixpath.basename(path)
    is_npm = name == "package.json" and _NODE_MODULE.fullmatch(path)
    if is_python(path, name) or is_npm or CUDA_VERSION.fullmatch(path):
        if len(file.owned) >= PACKAGES_LIMIT:
            what = f"more than {PACKAGES_LIMIT} files of Python and npm are in its packages"
            raise FaultError("archive.too_large", what)
        file.owned[path] = shown(owner)


def _take(file: PackageFile, package: Package) -> None:
    if len(file.packages) >= PACKAGES_LIMIT:
        raise FaultError("archive.too_large", f"it names more than {PACKAGES_LIMIT} packages")
    words = (package.name, package.version)
    others = (package.architecture, package.source, package.source_version)
    if all(map(WORD.fullmatch, words)) and all(WORD.fullmatch(each) for each in others if each):
        file.packages.append(package)
    else:
        file.problem = "a package has no proper name or version"
