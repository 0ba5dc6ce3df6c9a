"""From a runtime's answers about images to records: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent.containers.images_messages import Message, Messages
from agent.containers.images_results import ImageUsage, LoadedImages
from agent.containers.moments import unix_seconds
from agent.protocol.containers import Container
from agent.protocol.images import NodeImage
from agent.protocol.node import ImageStore
from agent.rules.references import familiar

Json = Mapping[str, Any]

_NONE = "<none>"
_LOADED = re.compile(r"Loaded image(?P<id> ID)?:\s*(?P<name>\S+)")
_RENAMED = "The image "  # "... already exists, renaming the old one"
_ERROR = re.compile(r"\berror\b", re.IGNORECASE)


class ListedImage(msgspec.Struct, kw_only=True, frozen=True):
    """An entry of `GET /images/json`."""

    id: str
    tags: tuple[str, ...]
    size_bytes: int
    created_at: float | None

    @property
    def key(self) -> tuple[str, int, tuple[str, ...]]:
        """What its inspection hangs on."""
        return self.id, self.size_bytes, self.tags


class ImageParts(msgspec.Struct, kw_only=True, frozen=True):
    """What is only in `GET /images/{id}/json`, and stays while the `ListedImage.key` does."""

    diff_ids: tuple[str, ...]
    os: str
    architecture: str
    variant: str
    tagged_at: float | None = None


UNKNOWN_PARTS = ImageParts(diff_ids=(), os="", architecture="", variant="")


def listed_image(entry: Json) -> ListedImage:
    """One entry; `size_bytes` is what it takes on disk, as far as the runtime tells."""
    created = float(entry.get("Created") or 0)
    return ListedImage(
        id=with_algorithm(str(entry["Id"])),
        tags=tuple(familiar(tag) for tag in entry.get("RepoTags") or [] if _NONE not in tag),
        size_bytes=int(entry.get("Size") or 0),
        # Reproducible images have none: 1970, or on 20.10 the year 1.
        created_at=created if created > 0 else None,
    )


def image_parts(answer: Json) -> ImageParts:
    """The parts from an inspection."""
    return ImageParts(
        diff_ids=tuple((answer.get("RootFS") or {}).get("Layers") or []),
        os=str(answer.get("Os") or ""),
        architecture=str(answer.get("Architecture") or ""),
        variant=str(answer.get("Variant") or ""),
        tagged_at=unix_seconds((answer.get("Metadata") or {}).get("LastTagTime")),
    )


def node_image(
    listed: ListedImage,
    parts: ImageParts,
    containers: Iterable[Container],
    *,
    store: ImageStore | None,
) -> NodeImage:
    """The record. The containerd store's ids are manifests': the config is not told anywhere."""
    return NodeImage(
        id=listed.id,
        config_digest=listed.id if store in ("graphdriver", "podman") else None,
        diff_ids=list(parts.diff_ids),
        tags=sorted(listed.tags),
        size_bytes=listed.size_bytes,
        created_at=listed.created_at,
        tagged_at=parts.tagged_at,
        os=parts.os,
        architecture=parts.architecture,
        variant=parts.variant,
        containers=sorted(one.name for one in containers if one.image_id == listed.id),
    )


def with_algorithm(image_id: str) -> str:
    """The id as Docker gives it; Podman leaves "sha256:" out at times."""
    return image_id if ":" in image_id else f"sha256:{image_id}"


def image_usage(answer: Json, *, podman: bool) -> ImageUsage:
    """From `GET /system/df`."""
    if podman:
        # Its shared sizes came and went between calls (4.3.1), and the sum of layers is always 0.
        return ImageUsage(reason="Podman does not tell what images share")
    alone = {
        with_algorithm(str(entry["Id"])): int(entry["Size"]) - int(entry["SharedSize"])
        for entry in answer.get("Images") or []
        if int(entry.get("SharedSize", -1)) >= 0
    }
    return ImageUsage(total_bytes=answer.get("LayersSize"), alone_bytes=alone)


class LoadAnswer:
    """What `POST /images/load` says, message by message: all failures are kept."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._names: list[str] = []
        self._ids: list[str] = []
        self._messages = Messages()

    def feed(self, data: bytes) -> None:
        """Some of the body.

        Raises:
            StreamBrokenError: a line without end.
        """
        for message in self._messages.feed(data):
            self._take(message)

    def end(self) -> LoadedImages:
        """What was loaded, at the proper end of the body. Nothing counts while there are
        `failures`."""
        for message in self._messages.end():
            self._take(message)
        return LoadedImages(names=self._names, ids=self._ids)

    def _take(self, message: Message) -> None:
        if message.error is not None:
            self.failures.append(message.error)
        for text in str(message.said.get("stream") or "").splitlines():
            if found := _LOADED.match(text):
                if found["id"]:
                    self._ids.append(with_algorithm(found["name"]))
                else:
                    self._names.append(familiar(found["name"]))
            # "Error unpacking image ...": the tag has moved nevertheless.
            elif _ERROR.search(text) and not text.startswith(_RENAMED):
                self.failures.append(text.strip())
