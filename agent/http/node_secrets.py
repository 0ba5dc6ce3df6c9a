"""`/v1/secrets`: an admin sets and removes them, and nobody reads them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from litestar import Request, delete, get, put
from litestar.params import PathParameter

from agent.http.caller import TheCaller, TheNode
from agent.protocol.node_secrets import SECRET_LIMIT_BYTES, NodeSecret
from agent.protocol.patterns import whole
from agent.protocol.problems import ProblemError

Name = Annotated[
    str,
    PathParameter(pattern=whole(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}"), min_length=1, max_length=63),
]


@get("/v1/secrets", tags=["secrets"], role="admin")
async def list_secrets(node: TheNode) -> list[NodeSecret]:
    """The names, when each was set, and which workloads use it."""
    found = await asyncio.to_thread(node.secrets.all)
    used = await node.workloads.secrets_used()
    return [
        NodeSecret(name=name, set_at=at, used_by=used.get(name, [])) for name, at in found.items()
    ]


@put(
    "/v1/secrets/{name:str}",
    tags=["secrets"],
    status_code=200,
    role="admin",
    request_max_body_size=None,  # it is counted here
)
async def set_secret(
    request: Request[Any, Any, Any], node: TheNode, caller: TheCaller, name: Name
) -> NodeSecret:
    """Keep the body as the secret's value. A container has it from its next start on."""
    caller.doing("secret.set", f"secret/{name}")
    value = bytearray()
    async for chunk in request.stream():
        value += chunk
        if len(value) > SECRET_LIMIT_BYTES:
            break  # it is refused for its size
    at = await asyncio.to_thread(node.secrets.set, name, bytes(value))
    used = await node.workloads.secrets_used()
    return NodeSecret(name=name, set_at=at, used_by=used.get(name, []))


@delete("/v1/secrets/{name:str}", tags=["secrets"], status_code=204, role="admin")
async def remove_secret(node: TheNode, caller: TheCaller, name: Name) -> None:
    """Remove one that no workload uses."""
    caller.doing("secret.remove", f"secret/{name}")
    users = (await node.workloads.secrets_used()).get(name)
    if users:
        raise ProblemError(
            "secret.in_use",
            f"{', '.join(users)} would not start without {name}",
            params={"secret": name, "workloads": users},
            hint="What is kept for `workload undo` counts, too. Apply the workload without it until"
            " nothing has it, or remove it: roost workload rm NODE NAME",
        )
    await asyncio.to_thread(node.secrets.remove, name)
