"""What a load has to do: which images are there, which layers the archive needs, which are sent.

Rules of the stores, as measured (Docker 20.10 graphdriver, Docker 28 containerd store, Podman):
the graphdriver store takes an archive without the files of layers whose whole chain it has; the
others want every layer's file, wherever it comes from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.images import (
    STAGING_REPOSITORY,
    ImageContent,
    Layer,
    NodeImage,
    PlannedImage,
)
from agent.protocol.node import ImageStore
from agent.protocol.problems import ProblemError
from agent.rules.chains import chain_ids, known_chains
from agent.rules.references import split_tag


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


def check_contents(contents: Sequence[ImageContent]) -> None:
    """See that what is asked for can be had: hours later, after the upload, is too late.

    Raises:
        ProblemError: `image.config`, `image.reference`.
    """
    owners: dict[str, str] = {}
    for content in contents:
        check_content(content)
        for tag in content.tags:
            name, digest = checked_tag(tag), config_digest(content)
            if owners.setdefault(name, digest) != digest:
                raise ProblemError(
                    "image.reference",
                    f"two different images shall both be {name}",
                    params={"reference": name},
                    hint="Push them one after the other, or give one of them another name.",
                )


def checked_tag(tag: str) -> str:
    """The tag in its short form.

    Raises:
        ProblemError: `image.reference` where no image can have it, or only one that is on its way.
    """
    repository, name = split_tag(tag)
    if repository == STAGING_REPOSITORY:
        raise ProblemError(
            "image.reference",
            f"{tag} is a name that Roost gives to images until they are verified",
            params={"reference": tag},
            hint="Give the image another name.",
        )
    return f"{repository}:{name}"


def is_staged(image: NodeImage) -> bool:
    """Whether it has a name that says that it is not verified yet."""
    return any(tag.startswith(f"{STAGING_REPOSITORY}:") for tag in image.tags)


def is_verified(image: NodeImage) -> bool:
    """Whether it has any other name, or none: what is only staged may be half an image."""
    return not image.tags or any(not tag.startswith(f"{STAGING_REPOSITORY}:") for tag in image.tags)


def check_content(content: ImageContent) -> None:
    """See that the config is one, and is about these layers.

    Raises:
        ProblemError: `image.config`.
    """
    try:
        config = from_json(content.config, _Config)
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
    config = from_json(content.config, _Config)
    return config.os, config.architecture, config.variant


def same_image(content: ImageContent, image: NodeImage) -> bool:
    """Whether a node's image is this one. An image whose config is unknown is another one."""
    return image.config_digest == config_digest(content) and image.diff_ids == [
        layer.diff_id for layer in content.layers
    ]


def image_there(
    content: ImageContent, tags: Sequence[str], images: Sequence[NodeImage]
) -> NodeImage | None:
    """The node's image that is this one; of several (the containerd store has one for each
    manifest) that with most of the tags."""
    same = [image for image in images if same_image(content, image)]
    return max(same, key=lambda image: len(set(tags) & set(image.tags)), default=None)


def plan_load(
    contents: Sequence[ImageContent],
    *,
    images: Sequence[NodeImage],
    blobs: Collection[str],
    store: ImageStore | None,
) -> Load:
    """What these images need on a node that has `images`, and `blobs` (diff_ids).

    Raises:
        ProblemError: `image.reference`.
    """
    images = [image for image in images if is_verified(image)]
    owners = {tag: image.id for image in images for tag in image.tags}
    known = known_chains(images) if takes_partial_archives(store) else set()
    plan = Load(images=[], left_out=[], needed=[], wanted=[])
    seen: set[str] = set()
    for content in contents:
        tags = list(dict.fromkeys(map(checked_tag, content.tags)))
        there = image_there(content, tags, images)
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
