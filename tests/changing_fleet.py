"""Live nodes in which so many cells of the fleet's table change a second, by a seed.

`python -m tests.changing_fleet FOLDER NODES CHANGES SEED` serves them with the agent's own
application and prints the path of their fleet.yaml when they are up. Each change alters one
figure of one node by more than its rounding, so that one cell shows something else.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import msgspec
import yaml

from agent.gpu.source import Inventory
from agent.http.caller import Listener
from agent.http.server import Servers
from agent.node import Node
from agent.protocol.gpus import Gpu, GpuSample, GpuStack
from tests.agent.doubles import FixedGpus, make_node

GIBIBYTE = 2**30
MEMORY_BYTES = 16 * GIBIBYTE
COLUMNS = ("utilization", "memory", "temperature")


class ChangingGpus(FixedGpus):
    """One T4 whose figures are changed by hand."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.gpu = Gpu(
            uuid=f"GPU-{number:08d}", index=0, name="Tesla T4", memory_total_bytes=MEMORY_BYTES
        )
        self.stack = GpuStack(
            state="ok", source="nvml", driver_version="470.256.02", cuda_version="11.4"
        )
        self.sample = GpuSample(
            uuid=self.gpu.uuid,
            utilization_percent=20.0 + number % 50,
            memory_used_bytes=MEMORY_BYTES // 100 * (30 + number % 40),
            memory_total_bytes=MEMORY_BYTES,
            temperature_celsius=50.0 + number % 20,
        )

    async def inventory(self) -> Inventory:
        return Inventory(stack=self.stack, gpus=(self.gpu,))

    def change(self, column: str, generator: random.Random) -> None:
        """Another figure in that column: one to nine percent or degrees away."""
        step = generator.randint(1, 9) * generator.choice((-1, 1))
        sample = self.sample
        if column == "utilization":
            value = _within(sample.utilization_percent or 0, step)
            self.sample = msgspec.structs.replace(sample, utilization_percent=value)
        elif column == "memory":
            share = round((sample.memory_used_bytes or 0) * 100 / MEMORY_BYTES)
            used = int(MEMORY_BYTES * _within(share, step) / 100)
            self.sample = msgspec.structs.replace(sample, memory_used_bytes=used)
        else:
            value = _within(sample.temperature_celsius or 0, step)
            self.sample = msgspec.structs.replace(sample, temperature_celsius=value)


def _within(value: float, step: int) -> float:
    """`value` and `step`, turned round at 10 and 80."""
    return value + step if 10 <= value + step <= 80 else value - step


async def serve(folder: Path, count: int, changes: int, seed: int) -> None:
    """Serve until standard input is closed; the first second of changes comes when asked."""
    servers = Servers()
    nodes: list[tuple[Node, ChangingGpus]] = []
    entries = []
    for number in range(count):
        name, path = f"node-{number:04d}", folder / f"{number}.sock"
        gpus = ChangingGpus(number)
        node = make_node(name, gpus)
        await node.start(by_itself=False)
        await node.sampler.tick()
        servers.add_unix(path, Listener(node, "unix:agent.sock", "operator"))
        nodes.append((node, gpus))
        entries.append({"name": name, "address": f"unix://{path}", "labels": {"site": "bench"}})
    serving = asyncio.create_task(servers.serve())
    file = folder / "fleet.yaml"
    file.write_text(yaml.safe_dump({"nodes": entries}), encoding="utf-8")
    sys.stdout.write(f"{file}\n")
    sys.stdout.flush()
    generator = random.Random(seed)
    loop = asyncio.get_running_loop()
    due = loop.time()
    ended = loop.run_in_executor(None, sys.stdin.read)
    while not ended.done():
        due += 1
        changed = set()
        for _ in range(changes):
            number = generator.randrange(count)
            nodes[number][1].change(generator.choice(COLUMNS), generator)
            changed.add(number)
        for number in changed:
            await nodes[number][0].sampler.tick()
        await asyncio.wait({ended}, timeout=max(0.0, due - loop.time()))
    servers.stop()
    await serving
    for node, _ in nodes:
        await node.stop()


def main() -> None:
    folder, count, changes, seed = sys.argv[1:]
    asyncio.run(serve(Path(folder), int(count), int(changes), int(seed)))


if __name__ == "__main__":
    main()
