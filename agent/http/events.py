"""`/v1/events`: the live picture as one stream."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import HeaderParameter
from litestar.response import Stream

from agent.http import sse
from agent.http.caller import TheNode


@get("/v1/events", tags=["events"], media_type="text/event-stream")
async def get_events(
    node: TheNode,
    last_event_id: Annotated[
        str | None, HeaderParameter(name="Last-Event-ID", max_length=64)
    ] = None,
) -> Stream:
    """`event: snapshot` first, or what came after `Last-Event-ID`; then `event: change`.

    A comment every 10 s proves that the agent lives.
    """
    return sse.event_stream(node.events.follow(last_event_id), comment_every=None)
