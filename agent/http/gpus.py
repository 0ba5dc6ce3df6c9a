"""`/v1/gpus`."""

from __future__ import annotations

from litestar import get

from agent.node import Node
from agent.protocol.gpus import GpuReport


@get("/v1/gpus", tags=["gpus"])
async def get_gpus(node: Node) -> GpuReport:
    """Driver, GPUs, their figures, health, processes and latest XID events."""
    return node.gpu_report()
