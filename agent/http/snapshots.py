"""`/v1/snapshot`: how the node is, what that takes, and the job that brings it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from agent.http.bodies import BYTES, exactly, file_stream
from agent.http.caller import TheCaller, TheNode
from agent.http.images import REQUEST_LIMIT_BYTES
from agent.http.jobs import IdempotencyKey
from agent.protocol.access import may
from agent.protocol.jobs import Job
from agent.protocol.node_files import NAME_LIMIT, NAME_PATTERN
from agent.protocol.snapshots import NodeSnapshot, RestoreRequest


@get("/v1/snapshot", tags=["snapshots"])
async def get_snapshot(
    node: TheNode, caller: TheCaller, *, environment: FromQuery[bool] = False
) -> NodeSnapshot:
    """How the node is now, without secrets. Values of environments are for operators."""
    if environment and not may(caller.role or "viewer", "operator"):
        caller.require("operator")
    return await node.snapshots.take(environment=environment)


@post(
    "/v1/snapshot/restore",
    tags=["snapshots"],
    status_code=202,
    role="operator",
    request_max_body_size=REQUEST_LIMIT_BYTES,
)
async def restore_snapshot(
    request: Request[Any, Any, Any],
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[RestoreRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Have the node be as a snapshot says. Layers that lack go to `/v1/uploads`."""
    caller.doing("snapshot.restore", f"snapshot/{data.name or data.snapshot}"[:500])
    data = await exactly(request, data)
    return await node.snapshots.restore(data, owner=caller.owner, key=idempotency_key)


@get("/v1/images/export", tags=["images"], media_type=BYTES, role="operator")
async def export_images(
    node: TheNode,
    image: Annotated[list[str], QueryParameter(min_items=1, max_items=64)],
) -> Stream:
    """These images as one archive, as the runtime writes it."""
    pieces = node.runtime.save_images(image)
    await anext(pieces)  # a problem is an answer of its own until here
    return Stream(_closing(pieces), media_type=BYTES)


@get("/v1/models/content", tags=["files"], media_type=BYTES, role="operator")
async def read_model(
    node: TheNode, name: Annotated[str, QueryParameter(pattern=NAME_PATTERN, max_length=NAME_LIMIT)]
) -> Stream:
    """The bytes of a model. Those of release files, in which passwords may be, are not told."""
    path = await asyncio.to_thread(node.images.files.path, "model", name)
    return file_stream(await asyncio.to_thread(path.open, "rb"))


async def _closing(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()
