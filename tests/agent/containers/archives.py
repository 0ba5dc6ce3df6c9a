"""Image archives for tests, small enough to be bytes; also such as no tool would write."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def digest(content: bytes) -> str:
    """The SHA-256 as images name it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer(name: str, content: bytes | None = None) -> bytes:
    """A layer with one file."""
    return _tar({name: name.encode() * 5000 if content is None else content})


@dataclass(frozen=True)
class MadeArchive:
    """An archive with what is in it."""

    data: bytes
    config_digest: str
    manifest_digest: str | None
    diff_ids: list[str]

    def chunks(self, size: int = 64 * 1024) -> Iterator[bytes]:
        """The archive in pieces."""
        return (self.data[at : at + size] for at in range(0, len(self.data), size))


def docker_archive(
    tag: str,
    layers: Sequence[bytes],
    *,
    without: Collection[int] = (),
    wrong: Collection[int] = (),
    architecture: str = "amd64",
) -> MadeArchive:
    """As `docker save` wrote it before version 25.

    Args:
        without: numbers of layers whose files are left out.
        wrong: numbers of layers whose files hold something else than is said.
    """
    config = _config(layers, architecture)
    names = [f"{digest(one)[7:]}/layer.tar" for one in layers]
    files = {
        name: layer("wrong") if number in wrong else one
        for number, (name, one) in enumerate(zip(names, layers, strict=True))
        if number not in without
    }
    config_name = f"{digest(config)[7:]}.json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": names}]
    data = _tar({config_name: config, **files, "manifest.json": _json(manifest)})
    return MadeArchive(data, digest(config), None, [digest(one) for one in layers])


def oci_archive(
    tag: str,
    layers: Sequence[bytes],
    *,
    without: Collection[int] = (),
    compressed: bool = False,
) -> MadeArchive:
    """An OCI layout with a manifest.json, as `docker save` writes since version 25.

    Args:
        tag: with a registry's host, "roost.local/x:1".
        without: numbers of layers whose blobs are left out.
        compressed: the blobs are gzip, as those of registries are.
    """
    config = _config(layers, "amd64")
    blobs = [gzip.compress(one, mtime=0) if compressed else one for one in layers]
    manifest = _manifest(config, blobs, LAYER_TYPE + "+gzip" * compressed)
    kept = [one for number, one in enumerate(blobs) if number not in without]
    docker = [{"Config": _blob(config), "RepoTags": [tag], "Layers": [_blob(one) for one in blobs]}]
    data = _layout(
        {**_descriptor(MANIFEST_TYPE, manifest), "annotations": _names(tag)},
        (config, manifest, *kept),
        {"manifest.json": _json(docker)},
    )
    return MadeArchive(data, digest(config), digest(manifest), [digest(one) for one in layers])


def two_platforms(tag: str, amd64: bytes, arm64: bytes) -> MadeArchive:
    """An OCI layout of an image with a layer for each platform; the digests are amd64's, but
    `manifest_digest` is the index's."""
    blobs: list[bytes] = []
    manifests = []
    for architecture, one in (("arm64", arm64), ("amd64", amd64)):
        config = _config([one], architecture)
        manifest = _manifest(config, [one], LAYER_TYPE)
        blobs += [one, config, manifest]
        platform = {"os": "linux", "architecture": architecture}
        manifests.append({**_descriptor(MANIFEST_TYPE, manifest), "platform": platform})
    index = _index(manifests)
    described = {**_descriptor(INDEX_TYPE, index), "annotations": _names(tag)}
    data = _layout(described, (*blobs, index), {})
    return MadeArchive(data, digest(_config([amd64], "amd64")), digest(index), [digest(amd64)])


def _layout(top: dict[str, Any], blobs: Sequence[bytes], more: dict[str, bytes]) -> bytes:
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": _index([top])}
    return _tar({**files, **{_blob(one): one for one in blobs}, **more})


def _index(manifests: list[dict[str, Any]]) -> bytes:
    return _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests})


def _manifest(config: bytes, blobs: Sequence[bytes], layer_type: str) -> bytes:
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor(layer_type, one) for one in blobs],
        }
    )


def _names(tag: str) -> dict[str, str]:
    # containerd takes the first, Podman the second.
    return {"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": tag}


def _config(layers: Sequence[bytes], architecture: str) -> bytes:
    return _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in layers]},
            "history": [{"created_by": "a test"} for _ in layers],
        }
    )


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def _blob(content: bytes) -> str:
    return f"blobs/sha256/{digest(content)[7:]}"


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
