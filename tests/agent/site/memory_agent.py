"""`roost-agent serve` over a runtime in memory: python -m tests.agent.site.memory_agent CONFIG.

All else is the real agent's: its listeners, files, uploads and jobs. A dockerd for each of many
nodes would only unpack the same layers again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from agent.cli import machine
from agent.cli.serve import serve
from agent.containers.in_memory import InMemoryRuntime
from agent.gpu.detect import gpu_source
from agent.protocol.node import RuntimeFacts
from agent.settings import load_settings


def _runtime(_: object) -> InMemoryRuntime:
    return InMemoryRuntime(RuntimeFacts(state="ok", name="memory", image_store="memory"), [])


def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    setattr(machine, "DockerRuntime", _runtime)  # noqa: B010 - mypy takes no assignment
    asyncio.run(serve(load_settings(Path(sys.argv[1])), gpu_source()))


if __name__ == "__main__":
    main()
