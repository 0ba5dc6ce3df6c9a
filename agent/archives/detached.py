"""Signatures that lie beside an archive: `FILE.sig`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.archives.bundle_manifest import Manifest
from agent.archives.bundle_planning import manifest_images
from agent.archives.index import ArchiveIndex
from agent.protocol.decoding import from_json
from agent.protocol.signatures import MANIFEST_LIMIT_BYTES, SIGNATURE_SUFFIX, SignedManifest

FILE_LIMIT_BYTES = 2 * MANIFEST_LIMIT_BYTES


def signature_file(archive: Path) -> Path:
    """Where an archive's signature lies."""
    return archive.with_name(archive.name + SIGNATURE_SUFFIX)


def manifest_of(index: ArchiveIndex, *, created_at: float) -> bytes:
    """A manifest that names the archive's images: what is loaded, not how it was packed."""
    images = manifest_images(index.images)
    return msgspec.json.encode(Manifest(created_at=created_at, images=images))


def with_signature(index: ArchiveIndex) -> ArchiveIndex:
    """The index with the signature that lies beside its archive now, unless it has its own.

    A file there that is none of ours is passed over: others sign archives, too.
    """
    if index.signed:
        return index
    try:
        with signature_file(Path(index.path)).open("rb") as file:
            data = file.read(FILE_LIMIT_BYTES)
        signed = from_json(data, SignedManifest)
    except (OSError, ValueError, RecursionError):  # msgspec's and Unicode's are ValueErrors
        return index
    return msgspec.structs.replace(index, signed=[signed])
