"""Callers and a machine that make it hard."""

from __future__ import annotations

import asyncio
import threading

from agent.live.event_log import CAPACITY_BYTES
from tests.agent.http.conftest import Served

# More than the event loop's own pool may have: min(32, cores + 4) up to Python 3.12.
MORE_THAN_ALL_THREADS = 64


async def test_reading_needs_no_thread(served: Served) -> None:
    """Threads may all be stuck in a slow disk or a locked database."""
    stuck = threading.Event()
    loop = asyncio.get_running_loop()
    jobs = [loop.run_in_executor(None, stuck.wait) for _ in range(MORE_THAN_ALL_THREADS)]
    try:
        async with served.client("viewer") as client:
            for path in ("/v1/telemetry", "/v1/node", "/v1/gpus", "/v1/containers", "/metrics"):
                answer = await asyncio.wait_for(client.get(path), 5)
                assert answer.status_code == 200
    finally:
        stuck.set()
        await asyncio.gather(*jobs)


async def test_a_follower_that_does_not_read_costs_no_memory(served: Served) -> None:
    """What it missed is dropped: it gets a snapshot, not megabytes that were kept for it."""
    reader, writer = await asyncio.open_unix_connection(served.folder / "viewer.sock", limit=1024)
    writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    published = 0
    for number in range(4000):
        text = f"<{number}>" + "x" * 5000
        served.node.events.update({"jobs": {"": {"stage": text}}})
        published += len(text)
        if number % 100 == 0:
            await asyncio.sleep(0)
    assert published > 15 * CAPACITY_BYTES
    received = 0
    tail = b""
    while b"<3999>" not in tail:
        chunk = await reader.read(65536)
        assert chunk
        received += len(chunk)
        tail = tail[-10:] + chunk
    assert received < 2 * CAPACITY_BYTES
    writer.close()


async def test_hundreds_of_followers_get_every_change(served: Served) -> None:
    connections = []
    for _ in range(300):
        reader, writer = await asyncio.open_unix_connection(served.folder / "viewer.sock")
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        connections.append((reader, writer))
    for reader, _ in connections:
        await reader.readuntil(b"event: snapshot\n")
    served.node.events.update({"jobs": {"": {"stage": "told to all"}}})
    for reader, writer in connections:
        await reader.readuntil(b"told to all")
        writer.close()


async def test_telemetry_is_encoded_once_per_sample(served: Served) -> None:
    async with served.client("viewer") as client:
        first = (await client.get("/v1/telemetry")).content
        encoded = served.node.sampler.encoded()
        assert encoded == first
        assert served.node.sampler.encoded() is encoded
        await served.node.sampler.tick()
        assert (await client.get("/v1/telemetry")).content != first
