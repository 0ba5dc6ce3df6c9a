"""`/v1/doctor`."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from agent.doctor.evidence import ClockOffset
from agent.http.caller import TheNode
from agent.protocol.findings import DoctorReport

Seconds = Annotated[float | None, QueryParameter(ge=-1e12, le=1e12)]


@get("/v1/doctor", tags=["doctor"])
async def get_doctor(
    node: TheNode,
    clock_offset_seconds: Seconds = None,
    clock_uncertainty_seconds: Annotated[float | None, QueryParameter(ge=0, le=1e6)] = None,
) -> DoctorReport:
    """Examine the node now.

    The console tells by how much the node's clock is ahead of its own, and half of the round
    trip that it measured this over; without it the clock check cannot tell.
    """
    clock = None
    if clock_offset_seconds is not None:
        clock = ClockOffset(clock_offset_seconds, clock_uncertainty_seconds or 0.0)
    return await node.examine(clock)
