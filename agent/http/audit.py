"""`/v1/audit`."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import get
from litestar.params import Parameter

from agent.node import Node
from agent.protocol.access import AuditRecord


@get("/v1/audit", tags=["audit"])
async def get_audit(
    node: Node, limit: Annotated[int, Parameter(ge=1, le=10_000)] = 100
) -> list[AuditRecord]:
    """The newest mutating calls, newest first."""
    return await asyncio.to_thread(node.audit.newest, limit)
