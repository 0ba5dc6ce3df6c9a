"""`POST /v1/workloads/plan`: what an apply would do, also once images are there that lack now."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.protocol.deployments import ApplyRequest
from agent.protocol.images import NodeImage


class PlanRequest(ApplyRequest, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An apply that is not done. `coming`: images that will be there by then, as they will be."""

    coming: Annotated[list[NodeImage], msgspec.Meta(max_length=64)] = msgspec.field(
        default_factory=list
    )
