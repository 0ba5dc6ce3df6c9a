"""`/v1/site`: layers between the nodes of one site, as the console arranges it."""

from __future__ import annotations

from litestar import get, post
from litestar.params import JSONBody

from agent.http.caller import TheCaller, TheNode
from agent.http.jobs import IdempotencyKey
from agent.protocol.jobs import Job
from agent.protocol.site import (
    FetchRequest,
    GrantRequest,
    Held,
    HeldRequest,
    SiteGrant,
    SiteStatus,
)


@get("/v1/site", tags=["site"])
async def get_site(node: TheNode) -> SiteStatus:
    """Whether this node can serve layers to its site, and where."""
    return await node.site.status()


@post("/v1/site/held", tags=["site"], status_code=200, continues=True)
async def list_held(node: TheNode, data: JSONBody[HeldRequest]) -> Held:
    """Which of these layers it could serve. Nothing changes."""
    return await node.site.held(data.diff_ids)


@post("/v1/site/grants", tags=["site"], status_code=201, role="operator")
async def make_grant(node: TheNode, caller: TheCaller, data: JSONBody[GrantRequest]) -> SiteGrant:
    """Let other nodes of the site fetch these layers for a while."""
    caller.doing(
        "site.grant",
        f"layers/{len(data.diff_ids)}",
        first=data.diff_ids[0],
        lifetime_seconds=data.lifetime_seconds,
    )
    return await node.site.grant(data)


@post("/v1/site/fetches", tags=["site"], status_code=202, role="operator")
async def fetch_layers(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[FetchRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Have these layers from the seed that made the grant."""
    caller.doing(
        "image.fetch",
        f"layers/{len(data.layers)}",
        seed=data.grant.node,
        addresses=", ".join(data.grant.addresses),
    )
    return await node.site.fetch(data, owner=caller.owner, key=idempotency_key)
