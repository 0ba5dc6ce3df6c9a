"""`/v1/gpus`."""

from __future__ import annotations

from litestar import get

from agent.http.caller import TheNode
from agent.protocol.gpus import GpuReport


@get("/v1/gpus", tags=["gpus"])
async def get_gpus(node: TheNode) -> GpuReport:
    """Driver, GPUs, their figures, health, processes and latest XID events."""
    return node.gpu_report()
