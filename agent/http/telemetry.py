"""`/v1/telemetry`: figures now and over time."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from agent.http.caller import TheNode
from agent.live.history import MINUTES, SECONDS, Resolution
from agent.protocol.telemetry import History, Metric, Telemetry


@get("/v1/telemetry", tags=["telemetry"])
async def get_telemetry(node: TheNode) -> Response[Telemetry]:
    """The latest sample of everything, not rounded."""
    return Response(node.latest_json, media_type="application/json")  # type: ignore[arg-type]


@get("/v1/telemetry/history", tags=["telemetry"])
async def get_history(
    node: TheNode,
    resolution: FromQuery[Resolution] = "1s",
    metric: FromQuery[Metric | None] = None,
    subject: Annotated[str | None, QueryParameter(max_length=100)] = None,
    seconds: Annotated[int | None, QueryParameter(ge=1, le=MINUTES * 60)] = None,
) -> History:
    """Ten minutes at one second, or a day at one minute with p50, p95 and max.

    `seconds` asks for the newest part only.
    """
    step = 1 if resolution == "1s" else 60
    count = None if seconds is None else min(SECONDS if step == 1 else MINUTES, -(-seconds // step))
    return History(
        resolution_seconds=step,
        end_at=node.latest.at - node.sampler.history.age_seconds(resolution),
        series=node.sampler.history.series(resolution, metric=metric, subject=subject, count=count),
    )
