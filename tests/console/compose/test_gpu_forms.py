"""Every way to ask for a GPU, and which request it becomes."""

from __future__ import annotations

import pytest

from agent.protocol.workloads import GpuRequest
from tests.console.compose.files import service


def devices(*entries: str) -> str:
    return f"deploy: {{resources: {{reservations: {{devices: [{', '.join(entries)}]}}}}}}"


@pytest.mark.parametrize(
    ("lines", "request_"),
    [
        (devices("{capabilities: [gpu]}"), GpuRequest(select="all")),
        (devices("{capabilities: [gpu], driver: nvidia, count: all}"), GpuRequest(select="all")),
        (devices("{capabilities: [gpu], count: 2}"), GpuRequest(select="least-memory", count=2)),
        (devices("{capabilities: [gpu], device_ids: ['0', '3']}"), GpuRequest(select="0,3")),
        (
            devices("{capabilities: [gpu], device_ids: [GPU-0a1b2c3d]}"),
            GpuRequest(select="GPU-0a1b2c3d"),
        ),
        (
            devices("{capabilities: [gpu, video, utility], count: 1}"),
            GpuRequest(select="least-memory", capabilities=["video", "utility"]),
        ),
        (
            devices("{capabilities: [gpu], driver: cdi, device_ids: ['nvidia.com/gpu=1']}"),
            GpuRequest(select="1"),
        ),
        ("gpus: all", GpuRequest(select="all")),
        ("gpus: [{driver: nvidia, count: 2}]", GpuRequest(select="least-memory", count=2)),
        ("devices: ['nvidia.com/gpu=all']", GpuRequest(select="all")),
        ("devices: ['nvidia.com/gpu=0', 'nvidia.com/gpu=1', /dev/a]", GpuRequest(select="0,1")),
        ("x-roost: {gpu: {}}", GpuRequest(select="least-memory")),
        ("x-roost: {gpu: {select: 0}}", GpuRequest(select="0")),
        ("x-roost: {gpu: {select: [0, GPU-0a1b2c3d]}}", GpuRequest(select="0,GPU-0a1b2c3d")),
        (
            "x-roost: {gpu: {select: 'name=A10, 1', count: 2}}",
            GpuRequest(select="name=A10,1", count=2),
        ),
        (
            "x-roost: {gpu: {select: MIG-8f6dd8d1-1b8e-5b2c-a7c3-000000000000}}",
            GpuRequest(select="MIG-8f6dd8d1-1b8e-5b2c-a7c3-000000000000"),
        ),
        (
            """
            x-roost:
              gpu:
                select: spread
                exclusive: true
                memory: 6g
                on_exceeded: restart
                on_lost: recreate
                verify: required
            """,
            GpuRequest(
                select="spread",
                exclusive=True,
                memory_bytes=6 << 30,
                on_exceeded="restart",
                on_lost="recreate",
                verify="required",
            ),
        ),
        (
            devices("{capabilities: [gpu, compute], count: 2}") + "\nx-roost: {gpu: {memory: 1g}}",
            GpuRequest(
                select="least-memory", count=2, memory_bytes=1 << 30, capabilities=["compute"]
            ),
        ),
        (
            devices("{capabilities: [gpu], device_ids: ['0', '1']}")
            + "\nx-roost: {gpu: {select: least-busy, count: 2}}",
            GpuRequest(select="least-busy", count=2),
        ),
        ("init: true", None),
    ],
)
def test_gpu(lines: str, request_: GpuRequest | None) -> None:
    assert service(lines).gpu == request_
