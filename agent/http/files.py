"""`/v1/files`: models and release files that came with bundles, see `agent.protocol.node_files`."""

from __future__ import annotations

import asyncio

from litestar import get, post
from litestar.params import JSONBody

from agent.http.caller import TheCaller, TheNode
from agent.protocol.node_files import FileRemoveRequest, PlacedFile


@get("/v1/files", tags=["files"])
async def list_files(node: TheNode) -> list[PlacedFile]:
    """The files that are there, by kind and name."""
    return await asyncio.to_thread(node.images.files.list)


@post("/v1/files/remove", tags=["files"], status_code=200, role="operator")
async def remove_file(
    node: TheNode, caller: TheCaller, data: JSONBody[FileRemoveRequest]
) -> list[PlacedFile]:
    """Remove one; what is left. An engine that was built from a model stays."""
    caller.doing("file.remove", f"{data.kind}/{data.name}")
    await asyncio.to_thread(node.images.files.remove, data.kind, data.name)
    return await asyncio.to_thread(node.images.files.list)
