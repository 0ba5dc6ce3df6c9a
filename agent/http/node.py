"""`/v1/node`."""

from __future__ import annotations

import time

import msgspec
from litestar import get

from agent.http.caller import TheCaller, TheNode
from agent.protocol.node import NodeFacts


@get("/v1/node", tags=["node"])
async def get_node(node: TheNode, caller: TheCaller) -> NodeFacts:
    """Facts about the node, and what the caller may do there."""
    facts = node.facts
    agent = msgspec.structs.replace(facts.agent, role=caller.role)
    return msgspec.structs.replace(facts, agent=agent, now=time.time())
