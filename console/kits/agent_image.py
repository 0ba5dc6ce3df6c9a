"""The agent's image: a kit on top of somebody's Python, as an archive that needs no network.

It is the base with one layer more, in which the kit lies. At its first start on a machine the kit
is unpacked into that machine's /opt/roost, as it is where a kit is installed.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

import msgspec

import agent
from agent.archives.index import ArchivedImage, ArchiveIndex
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.archives.platforms import normalised
from agent.archives.writing import END, OpenLayer, file_header, write_docker_archive
from agent.durable import appearing, sync, sync_folder
from agent.protocol.decoding import from_json
from agent.protocol.images import ImageContent, Layer
from agent.protocol.problems import ProblemError
from console.kits.reading import READ_BYTES, Kit

# Labels of the image, which images/agent/Dockerfile sets as well.
KIT_LABEL, VERSION_LABEL = "io.roost.agent.kit", "io.roost.agent.version"
NAME = "roost/agent"
KIT = "kit.pyz"
ENTRYPOINT = ["python3", "-IS", f"/{KIT}"]
# As kits name what images name otherwise.
ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}
# Of a base: what it would run, and as whom, is not the agent's.
_NOT_KEPT = ("User", "WorkingDir", "Healthcheck", "Volumes", "ExposedPorts", "OnBuild")


class AgentImage(msgspec.Struct, frozen=True, kw_only=True):
    """An archive with the agent's image for one architecture."""

    path: Path
    tag: str
    kit: str  # the id of the kit in it
    version: str
    arch: str  # as kits have it: x86_64
    diff_ids: list[str]
    size_bytes: int
    unpacked_bytes: int
    sha256: str


class _Config(msgspec.Struct):
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _ImageConfig(msgspec.Struct):
    config: _Config = msgspec.field(default_factory=_Config)


def script_source() -> bytes:
    """What installs it on a host that has no Python."""
    return (Path(agent.__file__).parent / "kit" / "container.sh").read_bytes()


def make_agent_image(kit: Kit, base: Path, folder: Path) -> AgentImage:
    """Write `roost-agent-VERSION-ARCH.tar.gz` into a folder. Blocks for some ten seconds.

    Args:
        base: an archive of an image with a Python that the kit is for.

    Raises:
        ProblemError: `archive.*`, `kit.write`.
    """
    index = index_archive(base)
    (image, *_) = index.for_platform("linux", ARCHES[kit.about.arch])
    data = kit.path.read_bytes()
    layer = file_header(KIT, len(data)) + data + bytes(-len(data) % 512) + END
    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    below = index.content(image)
    content = ImageContent(
        config=_config(image, kit, diff_id),
        layers=[*below.layers, Layer(diff_id=diff_id, size_bytes=len(layer))],
    )

    def opened(name: str) -> OpenLayer:
        return BytesIO(layer) if name == diff_id else open_layer(index, name)

    path = folder / f"roost-agent-{kit.about.version}-{kit.about.arch}.tar.gz"
    tag = f"{NAME}:{re.sub(r'[^A-Za-z0-9_.-]', '_', kit.about.id)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with appearing(path, mode=0o644) as file:
            packed = gzip.GzipFile(filename="", fileobj=cast("IO[bytes]", file), mode="wb", mtime=0)
            with packed:
                for piece in write_docker_archive(content, opened, tag=tag):
                    packed.write(piece)
            sync(file)
        sync_folder(folder)
    except OSError as error:
        raise ProblemError(
            "kit.write", f"{path}: {error.strerror}", hint="Give a folder you may write to: -o."
        ) from None
    return read_agent_image(path)


def _config(image: ArchivedImage, kit: Kit, diff_id: str) -> bytes:
    about: dict[str, Any] = from_json(image.config, dict[str, Any])
    config = {
        key: value for key, value in (about.get("config") or {}).items() if key not in _NOT_KEPT
    }
    labels = {**(config.get("Labels") or {}), KIT_LABEL: kit.about.id}
    config["Labels"] = {**labels, VERSION_LABEL: kit.about.version}
    config |= {"Entrypoint": ENTRYPOINT, "Cmd": ["contained"], "StopSignal": "SIGTERM"}
    rootfs = about["rootfs"]
    about["rootfs"] = {**rootfs, "diff_ids": [*rootfs["diff_ids"], diff_id]}
    step = {"created_by": f"roost agent kit make --image: agent {kit.about.id}"}
    about["history"] = [*(about.get("history") or []), step]
    # What a base's builder noted of its container.
    for key in ("container", "container_config"):
        about.pop(key, None)
    return msgspec.json.encode({**about, "config": config})


def read_agent_image(path: Path) -> AgentImage:
    """What the archive is. Blocks.

    Raises:
        ProblemError: `archive.*`, `kit.image`: it is no image of the agent.
    """
    index = index_archive(path)
    if len(index.images) != 1:
        raise _no_image(path, f"it has {len(index.images)} images")
    image = index.images[0]
    labels = from_json(image.config, _ImageConfig).config.labels or {}
    kit, version = labels.get(KIT_LABEL), labels.get(VERSION_LABEL)
    if not kit or not version:
        raise _no_image(path, f"its image has no label {KIT_LABEL}")
    if not image.tags:
        raise _no_image(path, "its image has no name")
    named = normalised(image.platform).architecture
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            digest.update(data)
    return AgentImage(
        path=path,
        tag=image.tags[0],
        kit=kit,
        version=version,
        arch={value: key for key, value in ARCHES.items()}.get(named, named),
        diff_ids=image.diff_ids,
        size_bytes=path.stat().st_size,
        unpacked_bytes=_unpacked(index),
        sha256=digest.hexdigest(),
    )


def images_by_arch(paths: Sequence[Path]) -> Mapping[str, AgentImage]:
    """One for each architecture. Blocks.

    Raises:
        ProblemError: `archive.*`, `kit.image`; `kit.twice`: two for one architecture.
    """
    found: dict[str, AgentImage] = {}
    for path in paths:
        image = read_agent_image(path)
        if other := found.get(image.arch):
            raise ProblemError(
                "kit.twice",
                f"{other.path} and {path} are both for {image.arch}",
                hint="Name one.",
            )
        found[image.arch] = image
    return found


def _unpacked(index: ArchiveIndex) -> int:
    return sum(layer.size_bytes for layer in index.layers)


def _no_image(path: Path, why: str) -> ProblemError:
    return ProblemError(
        "kit.image",
        f"{path} is no image of the agent: {why}",
        hint="Make one: roost agent kit make --image BASE",
    )
