"""`/v1/audit`."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from agent.http.caller import TheNode
from agent.protocol.access import AuditRecord


@get("/v1/audit", tags=["audit"])
async def get_audit(
    node: TheNode, limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100
) -> list[AuditRecord]:
    """The newest mutating calls, newest first."""
    return await asyncio.to_thread(node.audit.newest, limit)
