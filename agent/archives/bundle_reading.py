"""Bundles as archives: what they hold, and where in the file their layers lie."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISREG

import msgspec

from agent.archives.bundle_entries import Entries
from agent.archives.bundle_frames import FrameTable, read_table
from agent.archives.bundle_manifest import (
    CONFIG,
    CONTENT,
    MANIFEST,
    SIGNATURE,
    SNAPSHOT,
    SNAPSHOT_LIMIT_BYTES,
    Manifest,
    check_complete,
    decode_manifest,
    manifest_id,
    node_files,
)
from agent.archives.bundle_parts import check_is_whole, opened_whole
from agent.archives.contents import JSON_LIMIT_BYTES
from agent.archives.decompressors import DamagedError, compression_of, decompressor
from agent.archives.documents import Config
from agent.archives.faults import FaultError, shown, told_about
from agent.archives.index import ArchivedImage, ArchivedLayer, ArchiveIndex
from agent.archives.opening import OpenArchive, opened
from agent.archives.sources import READ_BYTES
from agent.archives.tar_headers import BLOCK_BYTES
from agent.protocol.decoding import from_json
from agent.protocol.images import CONFIG_LIMIT_BYTES
from agent.protocol.signatures import MANIFEST_LIMIT_BYTES, SignedManifest

SEAL_LIMIT_BYTES = 64 * 1024


class Seal(msgspec.Struct, frozen=True):
    """The entry behind the manifest: who signed it. See SignedManifest."""

    key: str
    signature: bytes


class Bundle(msgspec.Struct, kw_only=True, frozen=True):
    """The beginning of a bundle; its layers were not read."""

    id: str
    manifest: Manifest
    signed: SignedManifest | None
    index: ArchiveIndex
    snapshot: bytes | None  # how a node was; None: it is no snapshot
    head: list[bytes]  # the entries before those that the manifest names
    table: FrameTable


def is_bundle(path: Path) -> bool:
    """Whether a file, or the first of its parts, begins as a bundle does.

    Raises:
        OSError: it cannot be read.
        FaultError: as `facts_of`.
    """
    if not S_ISREG(path.stat().st_mode):
        return False
    with opened_whole(path) as (file, _):
        head = file.read(READ_BYTES)
    if compression_of(head) != "zstd":
        return False
    begins = b""
    try:
        for piece in decompressor("zstd").feed(head):
            begins += piece
            if len(begins) >= BLOCK_BYTES:
                break
    except DamagedError:
        return False
    return begins[:100].rstrip(b"\0") == MANIFEST.encode()


def read_bundle(path: Path) -> Bundle:
    """Read manifest, signature, configs and seek table.

    Nothing of the signature is checked but its form: who may sign is not known here.

    Raises:
        ProblemError: `bundle.*`, `archive.*`: file, entry and what is wrong.
    """
    with told_about(path):
        check_is_whole(path)
        if not is_bundle(path):
            raise FaultError("bundle.unknown", "it is not a bundle, or its beginning is damaged")
    with opened(path) as archive:
        entries = Entries(archive.source)
        data = entries.small(MANIFEST, MANIFEST_LIMIT_BYTES)
        manifest = decode_manifest(data)
        check_complete(manifest)
        head, signed = [data], None
        if entries.next_is(SIGNATURE):
            head.append(entries.small(SIGNATURE, SEAL_LIMIT_BYTES))
            signed = _signed(*head)
        configs = _configs(entries, manifest)
        snapshot = _snapshot(entries, manifest)
        table = read_table(archive.file, archive.facts.size_bytes)
        return Bundle(
            id=manifest_id(data),
            manifest=manifest,
            signed=signed,
            index=_index(path, archive, manifest, configs, _layers(manifest, head, table), signed),
            snapshot=snapshot,
            head=head,
            table=table,
        )


def _signed(manifest: bytes, seal: bytes) -> SignedManifest:
    try:
        found = from_json(seal, Seal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = f"it is no signature: {shown(str(error))}"
        raise FaultError("archive.json", what, member=SIGNATURE) from None
    return SignedManifest(manifest=manifest, key=found.key, signature=found.signature)


def _configs(entries: Entries, manifest: Manifest) -> dict[str, bytes]:
    """All configs by their digests; they come before the layers."""
    named = [entry for entry in manifest.entries if entry.kind == CONFIG]
    if any(entry.size_bytes > CONFIG_LIMIT_BYTES for entry in named) or (
        sum(entry.size_bytes for entry in named) > JSON_LIMIT_BYTES
    ):
        raise FaultError("archive.too_large", "its configs are too large")
    return {entry.sha256: b"".join(entries.pieces(entry)) for entry in named}


def _snapshot(entries: Entries, manifest: Manifest) -> bytes | None:
    behind = next((entry for entry in manifest.entries if entry.kind != CONFIG), None)
    if behind is None or behind.kind != SNAPSHOT:
        return None
    if behind.size_bytes > SNAPSHOT_LIMIT_BYTES:
        raise FaultError("archive.too_large", "what it says of the node is too large")
    return b"".join(entries.pieces(behind))


def _layers(manifest: Manifest, head: list[bytes], table: FrameTable) -> list[ArchivedLayer]:
    """Each layer, and each file, as what it is in the bundle: some zstd frames of its own."""
    layers = []
    at = sum(map(_room, map(len, head)))
    for entry in manifest.entries:
        if entry.kind in CONTENT:
            place = table.place(at + BLOCK_BYTES, entry.size_bytes)
            layers.append(
                ArchivedLayer(
                    diff_id=entry.sha256,
                    size_bytes=entry.size_bytes,
                    member=entry.name,
                    offset=place.offset,
                    stored_bytes=place.stored_bytes,
                    compression="zstd" if entry.size_bytes else "none",
                )
            )
        at += _room(entry.size_bytes)
    if at + 2 * BLOCK_BYTES > table.plain_bytes:
        raise FaultError("archive.damaged", "its seek table does not fit its manifest")
    return layers


def _room(size: int) -> int:
    """What an entry takes in a tar: header, content, padding."""
    return BLOCK_BYTES + size + -size % BLOCK_BYTES


def _index(
    path: Path,
    archive: OpenArchive,
    manifest: Manifest,
    configs: dict[str, bytes],
    layers: list[ArchivedLayer],
    signed: SignedManifest | None,
) -> ArchiveIndex:
    images = []
    for image in manifest.images:
        config = configs[image.config_digest]
        _check_config(config, image.diff_ids, image.config_digest)
        images.append(
            ArchivedImage(
                config=config,
                config_digest=image.config_digest,
                diff_ids=image.diff_ids,
                tags=image.tags,
                os=image.os,
                architecture=image.architecture,
                variant=image.variant,
                entry=image.entry,
            )
        )
    return ArchiveIndex(
        path=str(path.absolute()),
        size_bytes=archive.facts.size_bytes,
        modified_ns=archive.facts.modified_ns,
        compression="none",  # layers are found in the file as it is
        images=images,
        layers=layers,
        files=node_files(manifest),
        elsewhere=manifest.needs,
        since=None if manifest.since is None else manifest.since.name,
        signed=[] if signed is None else [signed],
    )


def _check_config(config: bytes, diff_ids: list[str], digest: str) -> None:
    try:
        named = from_json(config, Config).rootfs.diff_ids or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = f"the config {digest} is not as it should be: {shown(str(error))}"
        raise FaultError("archive.json", what) from None
    if named != diff_ids:
        what = f"the config {digest} is about other layers than its manifest says"
        raise FaultError("archive.layers_mismatch", what)
