"""What both arms did, asked of a simulated node over its socket."""

from __future__ import annotations

import asyncio

import pytest

from agent.protocol.deployments import ApplyRequest, DeployOptions
from agent.protocol.measures import ExecMeasure, PrometheusMeasure, Replay
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Workload
from agent.simulation.fleet import SimulatedFleet
from console.link.address import parse_address
from console.link.client import NodeClient
from console.link.unix import UnixLink
from tests.simulated import simulated_fleet

__all__ = ["simulated_fleet"]

NODE = "plant-1-t4"


async def test_arms_are_told_over_the_wire(simulated_fleet: SimulatedFleet) -> None:
    address = parse_address(simulated_fleet.address(NODE))
    client = NodeClient(NODE, UnixLink(NODE, address), owner="maria@pc")
    try:
        with pytest.raises(ProblemError, match="no deployment is named"):
            await client.workloads.arms("none")
        image = (await client.container("gateway")).container.image
        options = DeployOptions(
            confirm="manual",
            measures={
                "web": [
                    PrometheusMeasure(name="queue", port=9090, metric="queue_length"),
                    ExecMeasure(name="accuracy", command=["score"]),
                ]
            },
            replays={"web": Replay(port=80, method="POST", body=b"\x00\xff", rate=50.0)},
        )
        request = ApplyRequest(
            release="r1", workloads=[Workload(name="web", image=image)], options=options
        )
        await client.workloads.apply(request, "key-1")
        while True:
            [status] = await client.workloads.list()
            assert status.deployment is not None
            arms = await client.workloads.arms(status.deployment)
            for workload in arms.workloads:
                arm = workload.candidate
                if arm.replayed and arm.requests and arm.requests.latency:
                    assert {"queue", "accuracy"} == arm.measures.keys()
                    assert workload.stable.unknown["requests"] == (
                        "nothing ran under that name before"
                    )
                    return
            await asyncio.sleep(0.05)
    finally:
        await client.close()
