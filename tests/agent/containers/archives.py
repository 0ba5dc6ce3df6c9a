"""Image archives for tests, small enough to be bytes; also such as no tool would write."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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


def oci_archive(tag: str, layers: Sequence[bytes], *, without: Collection[int] = ()) -> MadeArchive:
    """An OCI layout with a manifest.json, as `docker save` writes since version 25.

    Args:
        tag: with a registry's host, "roost.local/x:1".
        without: numbers of layers whose blobs are left out.
    """
    config = _config(layers, "amd64")
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [
                _descriptor("application/vnd.oci.image.layer.v1.tar", one) for one in layers
            ],
        }
    )
    names = {
        "io.containerd.image.name": tag,
        "org.opencontainers.image.ref.name": tag.rpartition(":")[2],
    }
    described = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{**described, "annotations": names}],
    }
    kept = [one for number, one in enumerate(layers) if number not in without]
    docker = [
        {"Config": _blob(config), "RepoTags": [tag], "Layers": [_blob(one) for one in layers]}
    ]
    data = _tar(
        {
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
            "index.json": _json(index),
            **{_blob(one): one for one in (config, manifest, *kept)},
            "manifest.json": _json(docker),
        }
    )
    return MadeArchive(data, digest(config), digest(manifest), [digest(one) for one in layers])


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
