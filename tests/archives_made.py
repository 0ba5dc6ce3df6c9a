"""Image archives as docker save, skopeo and their enemies write them, made in memory."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import zstandard

COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": lambda data: zstandard.ZstdCompressor(1, write_checksum=True).compress(data),
}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def sha256(data: bytes) -> str:
    """As a digest: `sha256:...`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(text: str, size: int = 5000) -> bytes:
    """A layer's tar, with one file of bytes that shrink by half or so."""
    letters = Random(text).randbytes(size).translate(b"abcdefghijklmnop" * 16)
    return tar({f"srv/{text}": letters})


@dataclass
class Made:
    """An image to put into archives."""

    layers: Sequence[bytes]
    tags: Sequence[str] = ("made:1",)
    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""
    config: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Write the config."""
        words: dict[str, Any] = {
            "architecture": self.architecture,
            "os": self.os,
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
            "history": [{"created_by": "made"} for _ in self.layers],
        }
        if self.variant:
            words["variant"] = self.variant
        self.config = as_json(words)

    @property
    def diff_ids(self) -> list[str]:
        """Of all layers, bottom first."""
        return [sha256(data) for data in self.layers]


@dataclass
class Entry:
    """A member of a tar: a file, or a link to `target`."""

    name: str
    content: bytes = b""
    target: str = ""
    kind: bytes = tarfile.REGTYPE


def as_json(words: object) -> bytes:
    """As docker writes it."""
    return json.dumps(words, separators=(",", ":")).encode()


def tar(files: Mapping[str, bytes] | Sequence[Entry], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar file of these members, in order."""
    entries = (
        [Entry(name, content) for name, content in files.items()]
        if isinstance(files, Mapping)
        else files
    )
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as made:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type = entry.kind
            info.linkname = entry.target
            info.size = len(entry.content)
            made.addfile(info, io.BytesIO(entry.content))
    return file.getvalue()


def docker_entries(images: Sequence[Made]) -> list[Entry]:
    """What docker save wrote before version 25: a layer that came before is a symlink."""
    entries: list[Entry] = []
    manifest = []
    first: dict[str, str] = {}
    for number, image in enumerate(images):
        members = []
        for position, content in enumerate(image.layers):
            folder = hashlib.sha256(f"{number}/{position}".encode()).hexdigest()
            name = f"{folder}/layer.tar"
            members.append(name)
            entries.append(Entry(f"{folder}/", kind=tarfile.DIRTYPE))
            entries.append(Entry(f"{folder}/VERSION", b"1.0"))
            entries.append(Entry(f"{folder}/json", as_json({"id": folder})))
            diff_id = sha256(content)
            if diff_id in first:
                target = f"../{first[diff_id]}"
                entries.append(Entry(name, target=target, kind=tarfile.SYMTYPE))
            else:
                first[diff_id] = name
                entries.append(Entry(name, content))
        config = f"{hashlib.sha256(image.config).hexdigest()}.json"
        entries.append(Entry(config, image.config))
        manifest.append({"Config": config, "RepoTags": list(image.tags), "Layers": members})
    entries.append(Entry("manifest.json", as_json(manifest)))
    entries.append(Entry("repositories", as_json({"made": {"1": "0"}})))
    return entries


def docker_archive(images: Sequence[Made]) -> bytes:
    """An archive in docker save's old layout."""
    return tar(docker_entries(images))


class OciLayout:
    """Blobs and an index.json, to which images, indexes and attestations are added."""

    def __init__(self, compression: str = "gzip") -> None:
        self.compression = compression
        self.blobs: dict[str, bytes] = {}
        self.manifests: list[dict[str, Any]] = []
        self.docker: list[dict[str, Any]] = []

    def blob(self, content: bytes, kind: str) -> dict[str, Any]:
        """Keep a blob; its descriptor."""
        digest = sha256(content)
        self.blobs[f"blobs/{digest.replace(':', '/')}"] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def image(self, image: Made) -> dict[str, Any]:
        """Keep an image's blobs; its manifest's descriptor with platform."""
        suffix = "" if self.compression == "none" else f"+{self.compression}"
        layers = [
            self.blob(COMPRESS[self.compression](data), LAYER + suffix) for data in image.layers
        ]
        config = self.blob(image.config, CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        platform = {"os": image.os, "architecture": image.architecture}
        if image.variant:
            platform["variant"] = image.variant
        self.docker.append(
            {
                "Config": f"blobs/{config['digest'].replace(':', '/')}",
                "RepoTags": list(image.tags),
                "Layers": [f"blobs/{layer['digest'].replace(':', '/')}" for layer in layers],
            }
        )
        return self.blob(as_json(manifest), MANIFEST) | {"platform": platform}

    def attestation(self, of: str) -> dict[str, Any]:
        """What buildx adds beside an image; its platform is unknown/unknown."""
        config = self.blob(as_json({"rootfs": {"diff_ids": []}}), CONFIG)
        statement = self.blob(as_json({"predicate": of}), "application/vnd.in-toto+json")
        manifest = {"schemaVersion": 2, "config": config, "layers": [statement]}
        return self.blob(as_json(manifest), MANIFEST) | {
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.digest": of,
                "vnd.docker.reference.type": "attestation-manifest",
            },
        }

    def index(self, children: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Keep an index of manifests; its descriptor."""
        words = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(children)}
        return self.blob(as_json(words), INDEX)

    def add(self, descriptor: dict[str, Any], name: str = "") -> None:
        """Name something in index.json, as containerd does it, or without a name."""
        notes = {"io.containerd.image.name": name} if name else {}
        self.manifests.append(descriptor | {"annotations": notes})

    def files(self, *, docker: bool = False) -> dict[str, bytes]:
        """All files; with `docker`, manifest.json too, as docker save writes since version 25."""
        words = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}
        files = dict(self.blobs)
        files["index.json"] = as_json(words)
        if docker:
            files["manifest.json"] = as_json(self.docker)
        files["oci-layout"] = as_json({"imageLayoutVersion": "1.0.0"})
        return files


def oci_archive(
    images: Sequence[Made], compression: str = "gzip", *, docker: bool = False
) -> bytes:
    """An OCI layout as a tar; each image has its own entry in index.json."""
    layout = OciLayout(compression)
    for image in images:
        name = next(iter(image.tags), "")
        whole = name if "/" in name or not name else f"docker.io/library/{name}"
        layout.add(layout.image(image), whole)
    return tar(layout.files(docker=docker))
