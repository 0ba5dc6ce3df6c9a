"""Problems with images, told alike by every runtime."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from agent.containers.container_problems import short
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError

NO_SPACE = "no space left on device"
# What Podman's try of a format says when the archive is of another format.
_OTHER_FORMAT = ("not a directory", "index.json: no such file or directory")


def image_not_found(reference: str, images: Iterable[NodeImage]) -> ProblemError:
    """That there is no such image, with the nearest tag that there is."""
    tags = [tag for image in images for tag in image.tags]
    near = difflib.get_close_matches(reference, tags, n=1)
    return ProblemError(
        "image.not_found",
        f"the node's runtime has no image {reference!r}",
        params={"image": reference, "nearest": near[0] if near else None},
        hint=f"Did you mean {near[0]!r}?" if near else "`roost image ls` shows those it has.",
    )


def image_ambiguous(reference: str, ids: Sequence[str]) -> ProblemError:
    """That the start of an id fits several."""
    return ProblemError(
        "image.ambiguous",
        f"{reference!r} is the start of {len(ids)} ids",
        params={"image": reference, "matches": sorted(ids)[:5]},
        hint="Give more of the id, or a tag.",
    )


def image_in_use(image: NodeImage, words: str | None = None) -> ProblemError:
    """That containers were made from it; `words` are the runtime's own."""
    shown = image.tags[0] if image.tags else image.id
    containers = ", ".join(image.containers)
    reason = f"containers were made from it: {containers}" if containers else words
    return ProblemError(
        "image.in_use",
        f"image {shown} is not removed: {reason}",
        params={"image": image.id, "containers": list(image.containers), "runtime": words},
        hint="Remove those containers first, the stopped ones too.",
    )


def last_tag(tag: str, image: NodeImage) -> ProblemError:
    """That a tag cannot go alone, for the runtime would remove the image with it."""
    return ProblemError(
        "image.last_tag",
        f"{tag} is the only tag of {image.id}: without it the runtime removes the image",
        params={"tag": tag, "image": image.id},
        hint="Remove the image itself, or give it another tag before.",
    )


def load_failed(words: str) -> ProblemError:
    """That a load did not succeed, in the runtime's words; `space.full` where that is why."""
    if NO_SPACE in words:
        return disk_full(words)
    return ProblemError(
        "image.load_failed",
        short(_relevant(words)) or "the runtime did not say that it loaded an image",
        hint="The text is the runtime's own. Tags are as they were, but for the archive's own.",
    )


def broken(image: NodeImage, reason: str) -> ProblemError:
    """That an image is there but is not what it should be."""
    if NO_SPACE in reason:
        return disk_full(reason)
    shown = image.tags[0] if image.tags else image.id
    return ProblemError(
        "image.broken",
        f"{shown} is in the runtime, but {short(reason)}",
        params={"image": image.id, "tags": list(image.tags)},
        hint="Remove it and load it again.",
    )


def disk_full(words: str) -> ProblemError:
    """That the runtime had no room left."""
    return ProblemError(
        "space.full",
        f"the runtime has no room left: {short(_relevant(words))}",
        hint="Free space where the runtime keeps its images, and try again.",
    )


def _relevant(words: str) -> str:
    """Podman tells how each format failed; only that of the archive's own is of interest."""
    _, *tries = words.split("\n * ")
    kept = [one for one in tries if not any(other in one for other in _OTHER_FORMAT)]
    return "; ".join(kept) if kept else words
