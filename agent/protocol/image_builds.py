"""Building an image on a node: the request of the job `image.build`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.protocol.digest import Digest

Text = Annotated[str, msgspec.Meta(max_length=4096)]
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class BuildImageRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/images/build`. The context is a tar that was sent to `/v1/uploads` before.

    The job's result: `image` its id, `steps` how many there were.
    """

    context: Digest  # of the uncompressed tar
    tag: Short
    dockerfile: Short = "Dockerfile"  # a path in the context
    target: Annotated[str, msgspec.Meta(max_length=256)] = ""  # of its stages; "": the last
    arguments: Annotated[dict[str, Text], msgspec.Meta(max_length=64)] = {}
    labels: Annotated[dict[str, Text], msgspec.Meta(max_length=64)] = {}
    no_cache: bool = False
