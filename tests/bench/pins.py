"""Pins of a running container: how long nothing answers, beside docker stop and docker start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.agent.workloads.workload_side import HOOK, UUIDS, WorkloadSide, workload_side
from tests.bench import http_probe
from tests.bench.table import Row
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

PORT = 8080
# It ends at once when it is told to, as the peer's does.
SERVES = (
    "mkdir /www; echo hello >/www/index.html; trap 'exit 0' TERM; httpd -f -p 80 -h /www & wait"
)
BEYOND_MS = 300.0
EVERY_3_MS, AT_100_HERTZ = 0.003, 0.01
QUIET_SECONDS = 0.5
PUBLISHED = re.compile(r":(\d+)->80/tcp")


def run(*, short: bool) -> list[Row]:
    """Measure both strategies; `short` with fewer rounds."""
    return asyncio.run(_measure(2 if short else 7))


async def _measure(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="rp") as name, _engine(Path(name) / "e") as engine:
        async with workload_side(engine, Path(name) / "agent.db") as node:
            ours, theirs = await _downtimes(node, rounds)
            asked, failed = await _requests(node, rounds)
    return [
        Row(
            name="pin with stop-then-start, nothing answers",
            value=ours,
            unit="ms",
            limit=theirs + BEYOND_MS,
            peer_name="docker stop + docker start",
            peer=theirs,
        ),
        Row(
            name=f"pin with start-then-stop, of {asked} requests at 100/s",
            value=failed,
            unit="failed",
            limit=0,
        ),
    ]


async def _downtimes(node: WorkloadSide, rounds: int) -> tuple[float, float]:
    """Medians in milliseconds, of pins and of the runtime's own way, in turn."""
    ports = node.engine.folder / "ports"
    ports.write_text(f"{PORT}\n")
    node.run(
        "web", "--gpus", f"device={UUIDS[0]}", f"--publish={PORT}:80", "--restart=always",
        command=["sh", "-c", SERVES],
    )  # fmt: skip

    async def stop_and_start() -> None:
        await asyncio.to_thread(node.engine.docker, "stop", "web")
        await asyncio.to_thread(node.engine.docker, "start", "web")

    ours, theirs = [], []
    for number in range(rounds):
        theirs.append((await _probed(node, ports, EVERY_3_MS, stop_and_start))["longest_gap"])
        select = str((number + 1) % 2)
        pinned = await _probed(
            node, ports, EVERY_3_MS, partial(_pin, node, select, "stop-then-start")
        )
        ours.append(pinned["longest_gap"])
    node.engine.clear()
    return statistics.median(ours) * 1000, statistics.median(theirs) * 1000


async def _requests(node: WorkloadSide, rounds: int) -> tuple[int, int]:
    """Requests of a client that finds the new port, and how many of them nobody answered."""
    ports = node.engine.folder / "ports"
    node.run("web", "--gpus", f"device={UUIDS[0]}", "--publish=80", command=["sh", "-c", SERVES])

    def look() -> None:
        """The newest container first, as whoever balances load would find it."""
        there = sorted(
            node.runtime.containers().values(), key=lambda each: each.created_at or 0, reverse=True
        )
        running = [each for each in there if each.state == "running"]
        found = [port for each in running for port in PUBLISHED.findall(" ".join(each.ports))]
        new = ports.with_suffix(".new")
        new.write_text("".join(f"{port}\n" for port in dict.fromkeys(found)))
        new.replace(ports)

    node.runtime.on_change(look)
    await asyncio.sleep(QUIET_SECONDS)
    look()
    asked = failed = 0
    for number in range(rounds):
        select = str((number + 1) % 2)
        probed = await _probed(
            node, ports, AT_100_HERTZ, partial(_pin, node, select, "start-then-stop")
        )
        asked, failed = asked + probed["asked"], failed + probed["failed"]
    node.engine.clear()
    return asked, failed


async def _pin(node: WorkloadSide, select: str, strategy: str) -> None:
    job = await node.pin("web", select, strategy=strategy)
    if job.state != "succeeded":
        raise RuntimeError(f"the pin {job.state}: {job.problem}")


async def _probed(
    node: WorkloadSide, ports: Path, period: float, work: Callable[[], Awaitable[None]]
) -> dict[str, Any]:
    """What the probe says that ran before, while and after `work` did."""
    words = [*node.engine.enclosure.entering(), sys.executable, http_probe.__file__]
    with _process(*words, str(ports), str(period)) as probe:
        await asyncio.sleep(QUIET_SECONDS)
        await work()
        await asyncio.sleep(QUIET_SECONDS)
        said, _ = await asyncio.to_thread(probe.communicate)
    told: dict[str, Any] = json.loads(said)
    return told


@contextlib.contextmanager
def _process(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _engine(folder: Path) -> Iterator[DockerEngine]:
    folder.mkdir()
    enclosure = Enclosure(folder, network=True)
    try:
        engine = DockerEngine(enclosure)
        engine.add_hook("nvidia-container-runtime-hook", HOOK.format(folder=engine.folder))
        engine.start()
        engine.load_busybox()
        yield engine
    finally:
        enclosure.close()
