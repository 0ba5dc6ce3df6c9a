"""`/v1/log`."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from agent.http.caller import TheNode
from agent.protocol.own_log import LIMIT_BYTES, OwnLog


@get("/v1/log", tags=["node"], role="operator")
async def get_own_log(
    node: TheNode, limit_bytes: Annotated[int, QueryParameter(ge=1024, le=LIMIT_BYTES)] = 1 << 20
) -> OwnLog:
    """What the agent told of itself, the newest lines."""
    return await node.own_log.read(limit_bytes)
