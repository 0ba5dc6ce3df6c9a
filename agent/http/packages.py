"""`/v1/packages`: what is installed in images and on the node, see `agent.protocol.packages`."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from agent.http.caller import TheCaller, TheNode
from agent.http.jobs import IdempotencyKey
from agent.protocol.jobs import Job
from agent.protocol.packages import PackageList, ReadPackagesRequest


@get("/v1/packages", tags=["packages"])
async def get_packages(
    node: TheNode,
    image: Annotated[str, QueryParameter(max_length=512)] = "",
) -> PackageList:
    """The packages of an image, as they were read; without `image`, those of the node itself."""
    return await node.packages.get(image)


@post("/v1/packages", tags=["packages"], status_code=202, role="operator")
async def read_packages(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[ReadPackagesRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Read the packages of an image of the runtime, or of the node itself.

    For an image a container is made from it, never started, and removed. Done at once where it was
    read before.
    """
    caller.doing("packages.read", f"image/{data.image}" if data.image else "node")
    return await node.packages.read(data, owner=caller.owner, key=idempotency_key)
