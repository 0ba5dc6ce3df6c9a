"""Finding out what an archive holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from agent.archives.bundle_parts import Facts, check_is_whole, facts_of
from agent.archives.bundle_reading import is_bundle, read_bundle
from agent.archives.contents import Contents, Entry, Measure, measure_entry, scan, scan_folder
from agent.archives.decompressors import Compression
from agent.archives.docker_layout import MANIFEST, docker_images
from agent.archives.documents import FoundImage
from agent.archives.faults import FaultError, told_about
from agent.archives.index import ArchivedImage, ArchivedLayer, ArchiveIndex
from agent.archives.layer_table import layer_table
from agent.archives.oci_layout import INDEX, oci_images
from agent.archives.opening import OpenArchive, is_folder, member_source, opened, opened_member
from agent.archives.sources import CHUNK_BYTES

# Told now and then how many bytes were read, and of how many; may raise to end the indexing.
Heard = Callable[[int, int], None]


def unheard(done: int, total: int) -> None:
    """Nobody listens."""


def index_archive(path: Path, *, heard: Heard = unheard) -> ArchiveIndex:
    """Read what an archive holds: a bundle, or a docker-archive or an OCI layout.

    The latter two are tar files, an OCI layout may be a folder.

    In a plain file, only headers and JSON are read, and layers that are compressed inside it
    (their size is not known otherwise). A compressed file is read once, to its end. Layers that
    are stored plain are verified when they are read, not here.

    Raises:
        ProblemError: `archive.*`: file, member and what is wrong.
    """
    if is_folder(path):
        with told_about(path):
            return _index_folder(path, heard)
    with told_about(path):
        check_is_whole(path)
        bundle = is_bundle(path)
    if bundle:
        return read_bundle(path).index
    with opened(path) as archive:
        contents = _scanned(archive, heard)
        found = _found(contents)
        measured = _Measured(path, contents, heard)
        layers = layer_table(contents, found, measured)
        return _index(path, archive.facts, archive.compression, found, layers)


def _index_folder(path: Path, heard: Heard) -> ArchiveIndex:
    contents = scan_folder(path)
    if INDEX not in contents.entries:
        raise FaultError(
            "archive.unknown",
            "it is a folder, not an archive, and no OCI layout either: it has no index.json",
            hint="Name an archive in it, or a folder that skopeo copy wrote as oci:FOLDER.",
        )
    found = _found(contents)
    layers = layer_table(contents, found, _Measured(path, contents, heard))
    return _index(path, facts_of(path / INDEX), "none", found, layers)


def _scanned(archive: OpenArchive, heard: Heard) -> Contents:
    if archive.compression == "none":
        contents = scan(archive.source, seekable=True, heard=lambda: None)
        _compare_twice(contents, archive.file)
        return contents

    def passed() -> None:
        heard(archive.file.tell(), archive.facts.size_bytes)

    contents = scan(archive.source, seekable=False, heard=passed)
    # What follows the tar's end is padding, but the compression's checksum comes after it.
    while archive.source.read(CHUNK_BYTES):
        passed()
    _compare_twice(contents, None)
    return contents


def _compare_twice(contents: Contents, file: BinaryIO | None) -> None:
    """Two large files of one name must be the same; in a compressed archive nobody can tell."""
    for first, second in contents.twice:
        if file is None or _sha256(file, first) != _sha256(file, second):
            what = "two different entries have this name"
            raise FaultError("archive.duplicate", what, member=first.name)


def _sha256(file: BinaryIO, entry: Entry) -> bytes:
    digest = hashlib.sha256()
    source = member_source(file, entry.offset, entry.size_bytes)
    while data := source.read(CHUNK_BYTES):
        digest.update(data)
    return digest.digest()


class _Measured:
    """Finds the sizes of layers that are compressed inside the archive."""

    def __init__(self, path: Path, contents: Contents, heard: Heard) -> None:
        self._path = path
        self._heard = heard
        self._done = 0
        inner = (entry for entry in contents.entries.values() if entry.compression != "none")
        self._total = sum(entry.size_bytes for entry in inner)

    def __call__(self, entry: Entry) -> Measure:
        if entry.measure is None:
            with opened_member(self._path, entry.name, entry.offset, entry.size_bytes) as source:
                entry.measure = measure_entry(source, entry)
            self._done += entry.size_bytes
            self._heard(self._done, self._total)
        if isinstance(entry.measure, FaultError):
            raise entry.measure
        return entry.measure


def _found(contents: Contents) -> list[FoundImage]:
    """From index.json, manifest.json, or both: Docker 25 and later write both."""
    found = oci_images(contents) if INDEX in contents.entries else []
    if contents.find(MANIFEST) is not None:
        entries = max((image.entry for image in found), default=-1) + 1
        found += docker_images(contents, entries)
    elif INDEX not in contents.entries:
        if "repositories" in contents.entries:
            raise FaultError(
                "archive.manifest_missing",
                "it has no manifest.json: a Docker older than 1.10 saved it",
                hint="Load it into a newer Docker and save it there again.",
            )
        what = "it has neither manifest.json nor index.json"
        raise FaultError("archive.manifest_missing", what)
    if not found:
        raise FaultError("archive.manifest_missing", "there is no container image in it")
    return found


def _index(
    path: Path,
    facts: Facts,
    compression: Compression,
    found: Iterable[FoundImage],
    layers: list[ArchivedLayer],
) -> ArchiveIndex:
    images = _merged(found)
    return ArchiveIndex(
        path=str(path.absolute()),
        size_bytes=facts.size_bytes,
        modified_ns=facts.modified_ns,
        compression=compression,
        images=[_archived(image) for image in images],
        layers=layers,
    )


def _merged(found: Iterable[FoundImage]) -> list[FoundImage]:
    """What manifest.json and index.json both name is there once, with the tags of both."""
    merged: list[FoundImage] = []
    for image in found:
        same = [other for other in merged if other.config == image.config]
        if image.manifest_digest is not None:
            same = [other for other in same if other.entry == image.entry]
        if not same:
            merged.append(replace(image))
            continue
        known = {tag for other in same for tag in other.tags}
        same[0].tags = same[0].tags + [tag for tag in image.tags if tag not in known]
    return merged


def _archived(image: FoundImage) -> ArchivedImage:
    return ArchivedImage(
        config=image.config,
        config_digest=f"sha256:{hashlib.sha256(image.config).hexdigest()}",
        diff_ids=[layer.diff_id for layer in image.layers],
        tags=image.tags,
        os=image.os,
        architecture=image.architecture,
        variant=image.variant,
        manifest_digest=image.manifest_digest,
        entry=image.entry,
    )
