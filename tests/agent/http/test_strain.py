"""Callers and a machine that make it hard."""

from __future__ import annotations

import asyncio
import threading

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
