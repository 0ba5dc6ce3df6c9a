"""`/v1/node`."""

from __future__ import annotations

import time

import msgspec
from litestar import get

from agent.http.caller import Caller
from agent.node import Node
from agent.protocol.node import NodeFacts


@get("/v1/node", tags=["node"])
async def get_node(node: Node, caller: Caller) -> NodeFacts:
    """Facts about the node, and what the caller may do there."""
    facts = node.facts
    agent = msgspec.structs.replace(facts.agent, role=caller.role)
    return msgspec.structs.replace(facts, agent=agent, now=time.time())
