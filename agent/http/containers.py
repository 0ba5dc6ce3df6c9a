"""`/v1/containers`: list, inspect, start, stop, restart, logs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Literal

from litestar import get, post
from litestar.params import FromPath, FromQuery, PathParameter, QueryParameter
from litestar.response import Stream

from agent.http import sse
from agent.http.caller import TheCaller, TheNode
from agent.protocol.containers import Container, ContainerChange, ContainerDetails

Name = Annotated[str, PathParameter(min_length=1, max_length=255)]
When = Annotated[str | None, QueryParameter(max_length=64)]


@get("/v1/containers", tags=["containers"])
async def list_containers(node: TheNode) -> list[Container]:
    """All containers, by name."""
    return sorted(node.runtime.containers().values(), key=lambda container: container.name)


@get("/v1/containers/{name:str}", tags=["containers"])
async def get_container(node: TheNode, name: Name) -> ContainerDetails:
    """One container by id, start of id, or name."""
    return await node.runtime.details(name)


@post(
    "/v1/containers/{name:str}/{action:str}", tags=["containers"], status_code=200, role="operator"
)
async def act_on_container(
    node: TheNode,
    caller: TheCaller,
    name: Name,
    action: FromPath[Literal["start", "stop", "restart"]],
    timeout_seconds: Annotated[int | None, QueryParameter(ge=0, le=600)] = None,
) -> ContainerChange:
    """Start, stop or restart; the answer is the container as it was found afterwards."""
    caller.doing(f"container.{action}", f"container/{name}", timeout_seconds=timeout_seconds)
    return await node.runtime.act(name, action, timeout_seconds=timeout_seconds)


@get("/v1/containers/{name:str}/logs", tags=["containers"], media_type="text/event-stream")
async def get_logs(
    node: TheNode,
    name: Name,
    *,
    follow: FromQuery[bool] = False,
    since: When = None,
    until: When = None,
    tail: Annotated[int | None, QueryParameter(ge=0, le=1_000_000)] = None,
) -> Stream:
    """Output as `event: lines` (a list of LogLine), then `event: end`.

    `since` and `until` take RFC 3339, Unix seconds, or a span like `15m` ago.
    """
    batches = node.runtime.logs(name, follow=follow, since=since, until=until, tail=tail)
    # The runtime's first batch is empty: what is wrong is told before the stream begins.
    await anext(batches)

    async def lines() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(batches):
            async for batch in batches:
                yield sse.event("lines", batch)
        yield sse.event("end", {})

    return sse.event_stream(lines())
