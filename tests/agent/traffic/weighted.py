"""Weighted workloads for tests: a small HTTP server, and a load in front of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from agent.protocol.deployments import ApplyRequest, DeployOptions
from agent.protocol.workloads import Port, Workload
from tests.agent.traffic import load
from tests.agent.workloads.workload_side import WorkloadSide
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

PORT = 8080


def serving(
    version: str, *, name: str = "web", strategy: Any = "weighted", **more: Any
) -> Workload:
    """One that answers its version, and ends at once when it is told to."""
    script = (
        f"mkdir -p /www; echo {version} >/www/index.html;"
        " trap 'exit 0' TERM; httpd -f -p 80 -h /www & wait"
    )
    options: dict[str, Any] = {
        "command": ["sh", "-c", script],
        "ports": [Port(target=80, published=PORT)],
        "soak": 0.5,
        **more,
    }
    return Workload(name=name, image=IMAGE, strategy=strategy, **options)


async def steered(node: WorkloadSide, version: str, **more: Any) -> str:
    """Begin a deployment that somebody steers; its id once it is watched."""
    request = ApplyRequest(
        release=version,
        workloads=[serving(version, **more)],
        options=DeployOptions(confirm="manual", steered_by="r1"),
    )
    await node.workloads.apply(request, owner="maria", key=None)
    return (await node.reaches("canary", "done", "reverted", "stuck")).id


async def weighs(node: WorkloadSide, deployment: str, weight: int) -> None:
    """Tell a weight, and wait until it holds."""
    while True:
        shown = await node.workloads.deployments.renew(deployment, weight=weight)
        if shown.weight == weight:
            return
        await asyncio.sleep(0.05)


class Told(msgspec.Struct):
    """What a load counted."""

    asked: int
    failed: list[str]
    answers: dict[str, dict[str, int]]  # by mark and answer
    failed_at: float | None  # CLOCK_MONOTONIC
    last: dict[str, float]  # when each answer came last

    def share(self, mark: str, answer: str) -> float:
        """Percent of the answers since a mark."""
        given = self.answers[mark]
        return 100 * given.get(answer, 0) / sum(given.values())


class Load:
    """Requests that go on until `end`."""

    def __init__(self, engine: DockerEngine, rate: float) -> None:
        words = [*engine.enclosure.entering(), sys.executable, load.__file__, str(PORT), str(rate)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    async def mark(self, name: str) -> None:
        """Count anew from here."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"mark {name}\n")
        self._process.stdin.flush()
        await asyncio.to_thread(self._process.stdout.readline)

    async def end(self) -> Told:
        """All requests answered."""
        said, _ = await asyncio.to_thread(self._process.communicate)
        return msgspec.convert(json.loads(said), Told)

    def kill(self) -> None:
        """Whatever it does."""
        self._process.kill()
        self._process.wait()


@asynccontextmanager
async def loaded(engine: DockerEngine, rate: int) -> AsyncIterator[Load]:
    """So many requests a second to the published port, as long as this lasts."""
    made = Load(engine, rate)
    try:
        yield made
    finally:
        made.kill()
