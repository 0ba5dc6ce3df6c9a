"""`/healthz` and `/readyz`: open to all, for supervisors and load balancers."""

from __future__ import annotations

from litestar import Response, get

from agent.http.caller import TheNode
from agent.live.facts import agent_version
from agent.protocol.access import Health
from agent.protocol.version import API_VERSION


@get("/healthz", tags=["health"], role=None)
async def get_healthz() -> Health:
    """The agent's loop answers."""
    return Health(status="ok", version=agent_version(), api_version=API_VERSION)


@get("/readyz", tags=["health"], role=None)
async def get_readyz(node: TheNode) -> Response[Health]:
    """200 once the first sample is in, 503 before."""
    ready = node.ready.is_set()
    body = Health(
        status="ok" if ready else "starting", version=agent_version(), api_version=API_VERSION
    )
    return Response(body, status_code=200 if ready else 503)
