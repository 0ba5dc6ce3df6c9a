"""The JSON files of archives, as far as Roost reads them, and the checks that all need."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from agent.archives.contents import Contents
from agent.archives.faults import FaultError, shown
from agent.protocol.decoding import from_json
from agent.protocol.images import LAYERS_LIMIT

T = TypeVar("T")

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Docker's own rule for names (distribution/reference), without a digest.
TAG = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
)
NAME_LIMIT = 255
DOCKER_HUB = ("docker.io", "index.docker.io")


class DockerManifest(msgspec.Struct, rename="pascal"):
    """One item of manifest.json."""

    config: str
    layers: list[str] | None = None
    repo_tags: list[str] | None = None


class RootFs(msgspec.Struct):
    """`diff_ids` are those of the layers, bottom first."""

    diff_ids: list[str] | None = None


class Config(msgspec.Struct):
    """An image's config; everything else in it is the runtime's affair."""

    rootfs: RootFs
    architecture: str = ""
    os: str = ""
    variant: str = ""


class OciPlatform(msgspec.Struct):
    """What an index says of a manifest."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


class Descriptor(msgspec.Struct, rename="camel"):
    """A reference to a blob."""

    digest: str
    size: int
    media_type: str = ""
    platform: OciPlatform | None = None
    annotations: dict[str, str] | None = None


class OciManifest(msgspec.Struct, rename="camel"):
    """An image's manifest, or an index of manifests: one of the two fields is there."""

    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    media_type: str = ""


@dataclass(frozen=True)
class FoundLayer:
    """A layer as a manifest names it."""

    diff_id: str
    member: str


@dataclass
class FoundImage:
    """An image as a manifest names it; those of one `entry` differ in platform only."""

    config: bytes
    layers: list[FoundLayer]
    tags: list[str]
    os: str
    architecture: str
    variant: str
    entry: int
    manifest_digest: str | None = None


def decode(contents: Contents, name: str, kind: type[T]) -> T:
    """A JSON file of the archive. Raises FaultError (`Contents.document`'s, `archive.json`)."""
    document = contents.document(name)
    try:
        return from_json(document, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = f"it is not as it should be: {shown(str(error))}"
        raise FaultError("archive.json", what, member=name) from None


def found_image(
    contents: Contents, config_name: str, members: list[str], tags: list[str], entry: int
) -> FoundImage:
    """The image of this config, its layers in these files.

    Raises:
        FaultError: what is wrong with the config, the tags, or the number of layers.
    """
    config = decode(contents, config_name, Config)
    diff_ids = config.rootfs.diff_ids or []
    for diff_id in diff_ids:
        check_digest(diff_id, config_name)
    if len(diff_ids) != len(members):
        raise FaultError(
            "archive.layers_mismatch",
            f"its config names {len(diff_ids)} layers, its manifest {len(members)}",
            member=config_name,
        )
    if len(diff_ids) > LAYERS_LIMIT:
        what = f"{len(diff_ids)} layers are more than {LAYERS_LIMIT}"
        raise FaultError("archive.too_large", what, member=config_name)
    return FoundImage(
        config=contents.document(config_name),
        layers=[FoundLayer(*pair) for pair in zip(diff_ids, members, strict=True)],
        tags=list(dict.fromkeys(familiar(tag, config_name) for tag in tags)),
        os=config.os,
        architecture=config.architecture,
        variant=config.variant,
        entry=entry,
    )


def check_digest(digest: str, member: str) -> None:
    """Raises FaultError `archive.digest` unless it is a whole sha256 digest."""
    if not DIGEST.fullmatch(digest):
        what = f"{shown(digest)!r} is not a sha256 digest"
        raise FaultError("archive.digest", what, member=member)


def check_content(content: bytes, digest: str, member: str) -> None:
    """Raises FaultError `archive.digest` unless the content has this digest."""
    actual = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if actual != digest:
        raise FaultError("archive.digest", f"its digest is {actual}, not {digest}", member=member)


def familiar(tag: str, member: str) -> str:
    """A tag as Docker shows it: without `docker.io/library/`.

    Raises:
        FaultError: `archive.tag` for one that no runtime takes.
    """
    if not valid_tag(tag):
        raise FaultError("archive.tag", f"{shown(tag)!r} is not a valid tag", member=member)
    registry, _, short = tag.partition("/")
    if registry not in DOCKER_HUB:
        return tag
    first, slash, _ = short.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return tag  # it would name another registry
    return short.removeprefix("library/")


def valid_tag(tag: str) -> bool:
    """Whether it is `NAME:TAG`, with or without a registry, as all runtimes take it."""
    return len(tag) <= NAME_LIMIT and TAG.fullmatch(tag) is not None
