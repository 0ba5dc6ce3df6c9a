"""What a bundle says of itself: its manifest, which is its first entry and is what is signed.

A detached signature of an archive is a manifest of the same kind, without entries.
"""

from __future__ import annotations

import hashlib

import msgspec

from agent.archives.documents import valid_tag
from agent.archives.faults import FaultError, shown
from agent.archives.names import clean_name
from agent.protocol.decoding import from_json, from_plain
from agent.protocol.digest import Digest
from agent.protocol.images import LAYERS_LIMIT, Layer
from agent.protocol.node_files import NodeFile, clash
from agent.protocol.signatures import MANIFEST_LIMIT_BYTES

FORMAT = 1
MANIFEST = "roost-bundle.json"  # no other program's archive begins with this
SIGNATURE = "roost-bundle.sig"
ENTRIES_LIMIT = 20_000
IMAGES_LIMIT = 1000
FILES_NAMED = 1000
CONFIG, LAYER, MODEL, RELEASE = "config", "layer", "model", "release"
SNAPSHOT = "snapshot"  # how a node was; it comes right behind the configs
SNAPSHOT_NAME = "snapshot.json"
SNAPSHOT_LIMIT_BYTES = 32 * 1024 * 1024
CONTENT = frozenset({LAYER, MODEL, RELEASE})  # kinds that others may take from the bundle


class ManifestImage(msgspec.Struct, kw_only=True, frozen=True):
    """An image. Those of one `entry` are the same for different platforms."""

    config_digest: Digest
    diff_ids: list[Digest]  # bottom first
    tags: list[str] = []
    os: str = ""
    architecture: str = ""
    variant: str = ""
    entry: int = 0


class ManifestEntry(msgspec.Struct, kw_only=True, frozen=True):
    """A file in the bundle, in the order of the file. Readers pass over kinds they do not know."""

    kind: str  # "config", "snapshot", "layer", "model", "release"
    name: str
    sha256: Digest
    size_bytes: int


class ManifestFile(msgspec.Struct, kw_only=True, frozen=True):
    """A file that nodes shall have. Readers pass over kinds they do not know.

    Its content is an entry, or is left to the bundle that this one completes.
    """

    kind: str  # "model", "release"
    name: str  # its path on a node, below the folder of its kind
    sha256: Digest
    size_bytes: int


class Base(msgspec.Struct, kw_only=True, frozen=True):
    """The bundle that this one completes."""

    id: Digest
    name: str  # of its file, for people


class Manifest(msgspec.Struct, kw_only=True, frozen=True):
    """All that a bundle holds, and what it leaves to others."""

    format: int = FORMAT
    created_at: float  # Unix seconds, by the clock of whoever made it
    images: list[ManifestImage]
    files: list[ManifestFile] = []
    entries: list[ManifestEntry] = []
    since: Base | None = None
    needs: list[Layer] = []  # layers of its images, and contents of files, that are not in it


class _Version(msgspec.Struct):
    format: int


def manifest_id(manifest: bytes) -> str:
    """What a bundle is called by others: the digest of its manifest."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def config_name(digest: str) -> str:
    """Where a bundle keeps a config."""
    return f"configs/{digest.removeprefix('sha256:')}.json"


def layer_name(diff_id: str) -> str:
    """Where a bundle keeps a layer."""
    return f"layers/{diff_id.removeprefix('sha256:')}.tar"


def decode_manifest(data: bytes) -> Manifest:
    """A manifest, checked to fit together; that of a bundle must be complete, too.

    Raises:
        FaultError: `bundle.newer`, `bundle.manifest`, `archive.path`, `archive.duplicate`,
            `archive.too_large`.
    """
    if len(data) > MANIFEST_LIMIT_BYTES:
        what = f"its manifest has more than {MANIFEST_LIMIT_BYTES} bytes"
        raise FaultError("archive.too_large", what)
    try:
        version = from_json(data, _Version).format
        if version > FORMAT:
            what = f"it has format {version}, this Roost knows up to {FORMAT}"
            raise FaultError("bundle.newer", what)
        manifest = from_json(data, Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(shown(str(error))) from None
    _check_entries(manifest)
    _check_images(manifest)
    if len(manifest.files) > FILES_NAMED:
        raise FaultError("archive.too_large", f"it has more than {FILES_NAMED} files")
    if wrong := clash(node_files(manifest)):
        raise _bad(wrong)
    return manifest


def node_files(manifest: Manifest) -> list[NodeFile]:
    """Its files of known kinds, as nodes are asked to have them.

    Raises:
        FaultError: `bundle.manifest`.
    """
    known = [file for file in manifest.files if file.kind in (MODEL, RELEASE)]
    try:
        return [from_plain(msgspec.to_builtins(file), NodeFile) for file in known]
    except msgspec.ValidationError as error:
        raise _bad(f"a file of it is not as it should be: {shown(str(error))}") from None


def _check_entries(manifest: Manifest) -> None:
    if len(manifest.entries) > ENTRIES_LIMIT:
        raise FaultError("archive.too_large", f"it has more than {ENTRIES_LIMIT} entries")
    names = {MANIFEST, SIGNATURE}
    contents: set[str] = set()
    layers_begun = False
    for entry in manifest.entries:
        if not entry.name or clean_name(entry.name) != entry.name or not entry.name.isprintable():
            raise FaultError("archive.path", "an entry has a strange name", member=entry.name)
        if len(entry.name.encode()) > 100:  # what a tar header has room for
            raise FaultError("archive.path", "the name of an entry is too long", member=entry.name)
        if entry.name in names:
            raise FaultError("archive.duplicate", "two entries have this name", member=entry.name)
        names.add(entry.name)
        if entry.kind in CONTENT:
            if entry.sha256 in contents:
                what = "another entry has the same content"
                raise FaultError("archive.duplicate", what, member=entry.name)
            contents.add(entry.sha256)
        if entry.size_bytes < 0:
            raise _bad(f"{shown(entry.name)} has a size below 0")
        if entry.kind in (CONFIG, LAYER):
            wanted = config_name if entry.kind == CONFIG else layer_name
            if entry.name != wanted(entry.sha256):
                raise _bad(f"{shown(entry.name)} is not the name of {entry.kind} {entry.sha256}")
        layers_begun = layers_begun or entry.kind != CONFIG
        if layers_begun and entry.kind == CONFIG:
            raise _bad("a config comes after the configs")


def _check_images(manifest: Manifest) -> None:
    if len(manifest.images) > IMAGES_LIMIT:
        raise FaultError("archive.too_large", f"it has more than {IMAGES_LIMIT} images")
    for image in manifest.images:
        name = _name(image)
        if len(image.diff_ids) > LAYERS_LIMIT:
            raise FaultError("archive.too_large", f"{shown(name)} has too many layers")
        for tag in image.tags:
            if not valid_tag(tag):
                raise FaultError("archive.tag", f"{shown(tag)!r} is not a valid tag")


def check_complete(manifest: Manifest) -> None:
    """What a bundle's manifest is, and a detached signature is not: all that it names is there.

    Raises:
        FaultError: `bundle.manifest`.
    """
    configs = {entry.sha256 for entry in manifest.entries if entry.kind == CONFIG}
    sizes = {each.sha256: each.size_bytes for each in manifest.entries if each.kind in CONTENT}
    sizes |= {layer.diff_id: layer.size_bytes for layer in manifest.needs}
    for file in manifest.files:
        if file.kind in (MODEL, RELEASE) and sizes.get(file.sha256) != file.size_bytes:
            raise _bad(f"the content of {shown(file.name)} is not named")
    for image in manifest.images:
        name = _name(image)
        if image.config_digest not in configs:
            raise _bad(f"the config of {shown(name)} is not named")
        for diff_id in image.diff_ids:
            if diff_id not in sizes:
                raise _bad(f"a layer of {shown(name)} is not named: {diff_id}")


def _name(image: ManifestImage) -> str:
    return ", ".join(image.tags) or image.config_digest


def _bad(why: str) -> FaultError:
    return FaultError("bundle.manifest", f"its manifest is not as it should be: {why}")
