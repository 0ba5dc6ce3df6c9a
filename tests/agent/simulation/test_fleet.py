"""Simulated nodes over real HTTP on real sockets."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from agent.protocol.live import Change, Snapshot, apply_change
from agent.protocol.node import NodeFacts
from agent.simulation.fleet import SimulatedFleet
from agent.simulation.plan import plan_fleet
from tests.simulated import simulated_fleet

__all__ = ["simulated_fleet"]

# Unused on a unix socket; without it each client reads the system's certificates.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@asynccontextmanager
async def calling(fleet: SimulatedFleet, name: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(fleet.socket(name)), verify=NO_TLS)
    async with httpx.AsyncClient(transport=transport, base_url="http://node", timeout=5) as client:
        yield client


async def test_each_node_is_found_by_its_socket(short_folder: Path) -> None:
    plans = plan_fleet(40, faults=False)
    async with SimulatedFleet(plans, short_folder, ticking=False) as fleet:
        for entry in fleet.listing().nodes:
            async with calling(fleet, entry.name) as client:
                answer = await client.get("/v1/node")
            facts = msgspec.json.decode(answer.content, type=NodeFacts)
            assert entry.address == f"unix://{short_folder}/{entry.name}.sock"
            assert (facts.name, facts.agent.simulated) == (entry.name, True)
            assert facts.agent.role == "operator"
        assert _files(short_folder) == {f"{p.name}.sock" for p in plans}
    assert _files(short_folder) == set()


async def test_a_step_is_a_change_on_the_wire(short_folder: Path) -> None:
    now = int(time.time())
    plans = plan_fleet(1)
    async with (
        SimulatedFleet(plans, short_folder, change=1.0, ticking=False) as fleet,
        calling(fleet, plans[0].name) as client,
        client.stream("GET", "/v1/events") as stream,
    ):
        events = _events(stream)
        name, body = await anext(events)
        assert name == "snapshot"
        sections = msgspec.json.decode(body, type=Snapshot).sections
        for second in range(1, 4):
            await fleet.step(now + second)
            name, body = await anext(events)
            assert name == "change"
            apply_change(sections, msgspec.json.decode(body, type=Change))
        node = fleet.nodes[plans[0].name].node
        assert sections["gpus"] == msgspec.json.decode(
            msgspec.json.encode(node.events.sections["gpus"])
        )
        # Closing the stream from here keeps the stop from waiting for it.


async def test_time_passes_by_itself(simulated_fleet: SimulatedFleet) -> None:
    node = simulated_fleet.nodes["plant-1-t4"].node
    first = node.sampler.latest
    for _ in range(500):
        if node.sampler.latest is not first:
            break
        await asyncio.sleep(0.01)
    assert node.sampler.latest.gpus != first.gpus


async def test_faults_of_the_wire_are_there_from_the_start(short_folder: Path) -> None:
    plans = [plan for plan in plan_fleet(24) if plan.fault in ("offline", "flapping", "slow-link")]
    async with SimulatedFleet(plans, short_folder, ticking=False) as fleet:
        moods = {fleet.nodes[name].plan.fault: wire.mood for name, wire in fleet.wires.items()}
        assert moods == {"offline": "offline", "flapping": "flapping", "slow-link": "slow"}
        async with calling(fleet, "plant-1-offline") as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("/v1/node")


async def test_one_node_misbehaves_and_the_others_do_not_care(
    simulated_fleet: SimulatedFleet,
) -> None:
    await simulated_fleet.misbehave("plant-1-t4", "garbage")
    async with calling(simulated_fleet, "plant-1-t4") as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/v1/node")
    async with calling(simulated_fleet, "plant-2-a10") as client:
        assert (await client.get("/v1/node")).status_code == 200
    await simulated_fleet.misbehave("plant-1-t4", "clear")
    async with calling(simulated_fleet, "plant-1-t4") as client:
        assert (await client.get("/v1/node")).status_code == 200


async def test_a_shell_and_a_log_say_that_they_are_simulated(
    simulated_fleet: SimulatedFleet,
) -> None:
    async with calling(simulated_fleet, "plant-1-t4") as client:
        log = await client.get("/v1/containers/detector-0/logs", params={"tail": 3})
        listed = await client.post("/v1/containers/detector-0/exec", json={"command": ["env"]})
    assert log.text.count("(simulated)") == 3
    assert b"event: exit" in listed.content


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def _events(stream: httpx.Response) -> AsyncIterator[tuple[str, bytes]]:
    """Name and data of each event."""
    name = ""
    async for line in stream.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, value.encode()
