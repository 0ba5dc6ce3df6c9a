"""What a load has to do: which images are there, which layers the archive needs, which are sent.

Rules of the stores, as measured (Docker 20.10 graphdriver, Docker 28 containerd store, Podman):
the graphdriver store takes an archive without the files of layers whose whole chain it has; the
others want every layer's file, wherever it comes from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import msgspec

from agent.protocol.images import ImageContent, Layer, NodeImage, PlannedImage
from agent.protocol.node import ImageStore
from agent.protocol.problems import ProblemError
from agent.rules.chains import chain_ids, known_chains
from agent.rules.references import familiar


class Load(msgspec.Struct, kw_only=True):
    """What is to be done, and with which bytes."""

    images: list[PlannedImage]
    # Of images with the state "load": the places of layers whose files are left out.
    left_out: list[set[int]]
    needed: list[Layer]  # whose files the archive carries, each once, bottom first
    wanted: list[Layer]  # of those: what has to be sent


def takes_partial_archives(store: ImageStore | None) -> bool:
    """Whether an archive may leave out layers that the store has."""
    return store in {"graphdriver", "memory"}


def config_digest(content: ImageContent) -> str:
    """The image's name for itself."""
    return f"sha256:{hashlib.sha256(content.config).hexdigest()}"


def check_content(content: ImageContent) -> None:
    """See that the config is one, and is about these layers.

    Raises:
        ProblemError: `image.config`, `image.reference`.
    """
    try:
        config = msgspec.json.decode(content.config, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad_config(content, f"cannot be read: {error}") from None
    named = config.rootfs.diff_ids
    if named != [layer.diff_id for layer in content.layers]:
        raise _bad_config(
            content, f"names {len(named)} layers, which are not the {len(content.layers)} given"
        )
    sizes = {layer.diff_id: layer.size_bytes for layer in content.layers}
    if any(sizes[layer.diff_id] != layer.size_bytes for layer in content.layers):
        raise _bad_config(content, "has one layer with two sizes")


def platform_of(content: ImageContent) -> tuple[str, str, str]:
    """OS, architecture and variant that the config names; "" where it does not say."""
    config = msgspec.json.decode(content.config, type=_Config)
    return config.os, config.architecture, config.variant


def same_image(content: ImageContent, image: NodeImage) -> bool:
    """Whether a node's image is this one. An image whose config is unknown is another one."""
    return image.config_digest == config_digest(content) and image.diff_ids == [
        layer.diff_id for layer in content.layers
    ]


def plan_load(
    contents: Sequence[ImageContent],
    *,
    images: Sequence[NodeImage],
    blobs: Collection[str],
    store: ImageStore | None,
) -> Load:
    """What these images need on a node that has `images`, and `blobs` (diff_ids)."""
    owners = {tag: image.id for image in images for tag in image.tags}
    known = known_chains(images) if takes_partial_archives(store) else set()
    plan = Load(images=[], left_out=[], needed=[], wanted=[])
    seen: set[str] = set()
    for content in contents:
        there = next((image for image in images if same_image(content, image)), None)
        tags = [familiar(tag) for tag in content.tags]
        replaces = {
            tag: owners[tag]
            for tag in tags
            if tag in owners and (there is None or owners[tag] != there.id)
        }
        missing_tags = there is None or any(tag not in there.tags for tag in tags)
        plan.images.append(
            PlannedImage(
                tags=tags,
                config_digest=config_digest(content),
                state="load" if there is None else "retag" if missing_tags else "present",
                replaces=replaces,
            )
        )
        left_out: set[int] = set()
        if there is None:
            chains = chain_ids([layer.diff_id for layer in content.layers])
            left_out = {place for place, chain in enumerate(chains) if chain in known}
            for place, layer in enumerate(content.layers):
                if place not in left_out and layer.diff_id not in seen:
                    seen.add(layer.diff_id)
                    plan.needed.append(layer)
                    if layer.diff_id not in blobs:
                        plan.wanted.append(layer)
        plan.left_out.append(left_out)
    return plan


class _RootFs(msgspec.Struct):
    diff_ids: list[str] = []


class _Config(msgspec.Struct):
    rootfs: _RootFs
    os: str = "linux"
    architecture: str = ""
    variant: str = ""


def _bad_config(content: ImageContent, what: str) -> ProblemError:
    name = ", ".join(content.tags) or config_digest(content)
    return ProblemError(
        "image.config",
        f"the config of {name} {what}",
        params={"image": name},
        hint="Make the archive anew: docker save -o FILE IMAGE",
    )
