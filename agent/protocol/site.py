"""Nodes of one site pass layers on to each other: sent once over the slow link, spread locally.

A node that listens for its site (`site_listen` in agent.yaml) is a seed. It serves
`GET /blobs/<diff_id>` over TLS, only to who has a grant, and only what the grant names. The
console has the seed make the grant, and hands it to the nodes that fetch. The bytes are those
that the seed stores: the answer's headers say what they are.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.protocol.digest import Digest
from agent.protocol.images import Layer
from agent.protocol.patterns import whole

BLOBS_PATH = "/blobs/"
ENCODER_HEADER = "Roost-Encoder"  # "identity", or what compressed the bytes
SIZE_HEADER = "Roost-Size"  # of the uncompressed layer, in bytes

MOST_LAYERS = 4096
LONGEST_SECONDS = 24 * 3600
USUAL_SECONDS = 3600

# An address is always digits: no name is looked up on the way from node to node.
LanAddress = Annotated[
    str,
    msgspec.Meta(pattern=whole(r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]{2,45}\]):\d{1,5}")),
]
Layers = Annotated[list[Layer], msgspec.Meta(min_length=1, max_length=MOST_LAYERS)]
DiffIds = Annotated[list[Digest], msgspec.Meta(min_length=1, max_length=MOST_LAYERS)]


class SiteStatus(msgspec.Struct, kw_only=True):
    """`GET /v1/site`: whether this node can be a seed."""

    listening: bool
    addresses: list[str] = []  # "10.0.0.5:7444", for the nodes of its site
    fingerprint: Digest | None = None  # of the certificate that it shows there
    reason: str | None = None  # why it cannot be one


class HeldRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/site/held`: which of these layers the node could serve. Answers `Held`."""

    diff_ids: DiffIds


class Held(msgspec.Struct, kw_only=True):
    """Those of the layers that are in the node's blob store."""

    diff_ids: list[Digest]


class GrantRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/site/grants`: let others fetch these layers. They may arrive later."""

    diff_ids: DiffIds
    lifetime_seconds: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_SECONDS)] = USUAL_SECONDS


class SiteGrant(msgspec.Struct, kw_only=True):
    """What a node needs to fetch from a seed. It ends with the seed's agent, at the latest."""

    node: Annotated[str, msgspec.Meta(max_length=253)]  # the seed's own name, for people
    addresses: Annotated[list[LanAddress], msgspec.Meta(min_length=1, max_length=16)]
    fingerprint: Digest
    secret: Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9_-]{32,128}"))]
    expires_in_seconds: int  # by the seed's clock that only counts


class FetchRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/site/fetches`: have these layers from a seed. Answers a job `image.fetch`."""

    grant: SiteGrant
    layers: Layers
