"""`/v1/log`."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from agent.http.caller import TheNode
from agent.protocol.own_log import LIMIT_BYTES, OwnLog
from agent.rules.secretive import REMOVED

LEAST_PIECE = 6


@get("/v1/log", tags=["node"], role="operator")
async def get_own_log(
    node: TheNode, limit_bytes: Annotated[int, QueryParameter(ge=1024, le=LIMIT_BYTES)] = 1 << 20
) -> OwnLog:
    """What the agent told of itself, the newest lines, without the values of its secrets."""
    log = await node.own_log.read(limit_bytes)
    if not node.simulated:
        values = await asyncio.to_thread(node.secrets.values)
        log.lines = _without(log.lines, [value for _, value in values])
    return log


def _without(lines: list[str], values: list[bytes]) -> list[str]:
    """A value of many lines goes line by line; a short one would be everywhere."""
    pieces = {
        piece.strip()
        for value in values
        for piece in value.decode(errors="replace").splitlines()
        if len(piece.strip()) >= LEAST_PIECE
    }
    for piece in sorted(pieces, key=len, reverse=True):
        lines = [line.replace(piece, REMOVED) for line in lines]
    return lines
