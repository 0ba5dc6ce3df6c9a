"""Every package that an image's own databases name: dpkg's, apk's, rpm's, Python's and npm's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial

import msgspec

from agent.archives.faults import FaultError, shown, told_about
from agent.archives.index import ArchivedImage, ArchiveIndex
from agent.archives.indexing import Heard, unheard
from agent.archives.layer_walk import image_path, visible, walk
from agent.archives.layers import unverified_layers
from agent.archives.needs import Listening
from agent.archives.package_files import OS_RELEASE, PackageFile, is_database, reader_of
from agent.archives.sources import PartSource, Source
from agent.archives.tar_headers import Member
from agent.protocol.packages import DISTRIBUTION_KINDS, PackageList

# An image with a web front end has some 10,000 package.json.
FILES_LIMIT = 100_000
# Each file has its own limit; so many files of one layer may be full together.
NAMES_LIMIT = 200_000
# Of so many files with the same problem each is named; of more, the first.
NAMED = 3
NO_DATABASE = (
    "no database of dpkg, apk or rpm names a package, so all that was copied in is not known"
)
LINK = "it is a link, which is not followed"
_FOLDERS = re.compile(
    r"var|lib|lib64|usr|local|opt|srv|app|home|root|etc|apk|db|dpkg|info|status\.d|sysimage|share"
    r"|rpm|python[^/]*|(?:site|dist)-packages|[^/]+\.(?:dist|egg)-info|EGG-INFO|node_modules|@[^/]+"
    r"|\.?v?env|conda(?:-meta)?|cuda[^/]*"
)


class LayerPackages(msgspec.Struct, kw_only=True):
    """What was found in a layer. `hidden` are paths that it takes away, with all below them."""

    files: dict[str, PackageFile] = {}
    hidden: list[str] = []
    problem: str = ""
    names: int = 0  # of packages, and of files that packages brought


def packages_of(
    index: ArchiveIndex, image: ArchivedImage, *, heard: Heard = unheard
) -> PackageList:
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
    """Pass once over a layer's tar. What is wrong with it is the answer's `problem`.

    Raises:
        OSError: the disk's, as are others that `source` gives.
    """
    found = LayerPackages()
    found.problem = walk(source, found.hidden, partial(_look, found), folders=_FOLDERS)
    return found


def put_together(layers: Iterable[LayerPackages]) -> PackageList:
    """Of layers that lie on one another, the bottom one first."""
    below = list(layers)
    made = package_list(visible(below))
    several = len(below) > 1
    made.unknown[:0] = [
        f"layer {n}: {each.problem}" if several else each.problem
        for n, each in enumerate(below, 1)
        if each.problem
    ]
    return made


def package_list(files: Mapping[str, PackageFile]) -> PackageList:
    """What files of one root say together, by their paths in it."""
    owners = {path: owner for file in files.values() for path, owner in file.owned.items()}
    packages = {
        msgspec.structs.replace(package, part_of=owners[path]) if path in owners else package
        for path, file in files.items()
        for package in file.packages
    }
    made = PackageList(packages=sorted(packages), unknown=_problems(files))
    unread = any(file.problem and is_database(path) for path, file in files.items())
    if not unread and not any(each.kind in DISTRIBUTION_KINDS for each in packages):
        made.unknown.append(NO_DATABASE)
    for path in OS_RELEASE:
        said = files[path].os if path in files else {}
        made.os_id = made.os_id or said.get("ID", "")
        made.os_version = made.os_version or said.get("VERSION_ID", "")
    return made


def _problems(files: Mapping[str, PackageFile]) -> list[str]:
    found: dict[str, list[str]] = {}
    for path, file in files.items():
        if file.problem:
            found.setdefault(file.problem, []).append(f"/{shown(path)}")
    told = []
    for problem, paths in found.items():
        if len(paths) > NAMED:
            told.append(f"{len(paths)} files, the first is {paths[0]}: {problem}")
        else:
            told += [f"{path}: {problem}" for path in paths]
    return told


def _look(found: LayerPackages, path: str, member: Member, source: Source) -> None:
    if member.kind == "folder" or (read := reader_of(path)) is None:
        return
    found.hidden.append(path)  # what it replaces may say more than it does
    if member.kind == "link":
        _add(found, path, _linked(found, member))
    elif member.kind != "file":
        if path not in OS_RELEASE:  # of its two names one leads to the other
            _add(found, path, PackageFile(problem=LINK))
    else:
        file = PackageFile()
        try:
            read(file, PartSource(source, member.size_bytes))
        except FaultError as fault:
            if fault.code != "archive.too_large":
                raise
            file.problem = fault.what
        _add(found, path, file)


def _linked(found: LayerPackages, member: Member) -> PackageFile:
    """A second name of a file that came before; its content is in the first one alone."""
    first = found.files.get(image_path(member.target))
    if first is not None:
        return first
    return PackageFile(problem="it is a second name of a file that was not looked into")


def _add(found: LayerPackages, path: str, file: PackageFile) -> None:
    if len(found.files) >= FILES_LIMIT:
        raise FaultError("archive.too_large", f"more than {FILES_LIMIT} files name packages")
    found.names += len(file.packages) + len(file.owned)
    if found.names > NAMES_LIMIT:
        raise FaultError("archive.too_large", f"it names more than {NAMES_LIMIT} packages")
    found.files[path] = file
