"""Bundles for tests, good ones and ones whose manifest or entries are made up."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from agent.archives.bundle_frames import Frame, table_bytes
from agent.archives.bundle_manifest import (
    MANIFEST,
    Base,
    Manifest,
    ManifestEntry,
    ManifestFile,
    ManifestImage,
    config_name,
    layer_name,
)
from agent.archives.bundle_planning import plan_bundle
from agent.archives.bundle_reading import Bundle, read_bundle
from agent.archives.bundle_writing import Sign, write_bundle
from agent.archives.carried_files import LooseFile, loose_file
from agent.archives.indexing import index_archive
from tests.archives_made import Entry, Made, docker_archive, sha256


def make_bundle(
    folder: Path,
    images: Sequence[Made],
    *,
    files: Mapping[str, bytes] = {},
    name: str = "made.bundle",
    sign: Sign | None = None,
    since: Path | None = None,
    part_bytes: int | None = None,
) -> Path:
    """A bundle of these images and files, made as `roost bundle make` does.

    `files` are by kind and name: "model/detector.onnx".
    """
    archive = folder / f"{name}.tar"
    archive.write_bytes(docker_archive(images))
    base: Bundle | None = None if since is None else read_bundle(since)
    plan = plan_bundle(
        [index_archive(archive)] if images else [],
        [loose(folder, file, data) for file, data in files.items()],
        since=None
        if base is None or since is None
        else (Base(id=base.id, name=since.name), base.manifest),
        created_at=1.7e9,
    )
    write_bundle(folder / name, plan, sign=sign, part_bytes=part_bytes)
    return folder / name


def loose(folder: Path, file: str, data: bytes) -> LooseFile:
    """A file that goes along; `file` is as "model/detector.onnx"."""
    kind, _, name = file.partition("/")
    path = folder / f"loose-{file.replace('/', '-')}"
    path.write_bytes(data)
    return loose_file(path, "model" if kind == "model" else "release", name)


def manifest_of(images: Sequence[Made], files: Mapping[str, bytes] = {}) -> Manifest:
    """The manifest that fits `entries_of` the same images and files."""
    configs = {sha256(image.config): image.config for image in images}
    layers = {sha256(data): data for image in images for data in image.layers}
    entries = [
        ManifestEntry(kind="config", name=config_name(name), sha256=name, size_bytes=len(data))
        for name, data in configs.items()
    ] + [
        ManifestEntry(kind="layer", name=layer_name(name), sha256=name, size_bytes=len(data))
        for name, data in layers.items()
    ]
    return Manifest(
        created_at=1.7e9,
        images=[
            ManifestImage(
                config_digest=sha256(image.config),
                diff_ids=image.diff_ids,
                tags=list(image.tags),
                os=image.os,
                architecture=image.architecture,
                entry=number,
            )
            for number, image in enumerate(images)
        ],
        files=[
            ManifestFile(
                kind=file.split("/")[0],
                name=file.partition("/")[2],
                sha256=sha256(data),
                size_bytes=len(data),
            )
            for file, data in files.items()
        ],
        entries=entries
        + [
            ManifestEntry(
                kind=file.split("/")[0], name=file, sha256=sha256(data), size_bytes=len(data)
            )
            for file, data in files.items()
        ],
    )


def entries_of(images: Sequence[Made], files: Mapping[str, bytes] = {}) -> list[Entry]:
    """Configs, layers and files, each once."""
    configs = {config_name(sha256(image.config)): image.config for image in images}
    layers = {layer_name(sha256(data)): data for image in images for data in image.layers}
    return [Entry(name, content) for name, content in {**configs, **layers, **files}.items()]


def packed(manifest: bytes | Manifest | dict[str, Any], entries: Sequence[Entry]) -> bytes:
    """Any manifest and any entries as a bundle: each header and each content is a frame."""
    if not isinstance(manifest, bytes):
        manifest = msgspec.json.encode(manifest)
    pieces: list[bytes] = []
    for entry in [Entry(MANIFEST, manifest), *entries]:
        info = tarfile.TarInfo(entry.name)
        info.type, info.linkname, info.size = entry.kind, entry.target, len(entry.content)
        pieces += [info.tobuf(tarfile.GNU_FORMAT), entry.content, bytes(-len(entry.content) % 512)]
    return framed([*pieces, bytes(1024)])


def framed(pieces: Sequence[bytes]) -> bytes:
    """Pieces of a tar as a frame each, and the table behind them."""
    out = io.BytesIO()
    frames = []
    for piece in filter(None, pieces):
        data = zstandard.ZstdCompressor(1, write_checksum=True).compress(piece)
        frames.append(Frame(len(data), len(piece)))
        out.write(data)
    out.write(table_bytes(frames))
    return out.getvalue()
