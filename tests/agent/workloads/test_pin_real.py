"""Pins of containers on a real Docker Engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.workloads.workload_side import UUIDS, workload_side
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


async def test_a_container_moves_to_another_gpu(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", "--gpus", f"device={UUIDS[0]}")
        job = await node.pin("detector", "1")
        assert (job.state, job.problem) == ("succeeded", None)
        after = node.inspect("detector")
        assert after["Id"] != first
        assert after["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [UUIDS[1]]
        assert after["HostConfig"]["RestartPolicy"]["Name"] == "always"
        [status] = await node.workloads.list()
        assert node.names() == {
            "detector": "running",
            f"detector.kept-{str(status.deployment)[:6]}": "exited",
        }
        assert (status.gpus, status.gpu_way, status.can_undo) == (
            [UUIDS[1]],
            "device_request",
            True,
        )
