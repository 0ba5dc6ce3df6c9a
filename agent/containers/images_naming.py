"""Which image a person means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.containers.images_problems import image_ambiguous, image_not_found
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError
from agent.rules.references import familiar

# Fewer digits would too easily be those of another image.
_ID = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


def find_image(reference: str, images: Sequence[NodeImage]) -> NodeImage:
    """The image with this tag ("latest" where none is said), id, config digest, or the only one
    whose id starts like this.

    The runtime is not asked: Podman takes a short name for docker.io's, and Docker matches more.

    Raises:
        ProblemError: `image.not_found`, `image.ambiguous`.
    """
    tag = familiar(reference)
    for image in images:
        if tag in image.tags or reference in (image.id, image.config_digest):
            return image
    if found := _ID.fullmatch(reference):
        starts = [image for image in images if image.id.startswith(f"sha256:{found[1]}")]
        if len(starts) == 1:
            return starts[0]
        if starts:
            raise image_ambiguous(reference, [image.id for image in starts])
    raise image_not_found(reference, images)


def tag_of(reference: str, image: NodeImage) -> str | None:
    """The tag that `find_image` went by; None: it was an id."""
    tag = familiar(reference)
    return tag if tag in image.tags else None


def read_back(tag: str, image_id: str, images: Sequence[NodeImage]) -> NodeImage:
    """The image, if it has the tag now.

    Raises:
        ProblemError: `runtime.refused`, the runtime said that it has and it has not.
    """
    for image in images:
        if tag in image.tags and image.id == image_id:
            return image
    raise ProblemError(
        "runtime.refused",
        f"the runtime said that {image_id} is tagged {tag}, and it is not",
        params={"tag": tag, "image": image_id},
        hint="Someone else may have moved the tag; try again.",
    )
