"""A real agent with this machine's real GPUs over a private Docker Engine, and a person's home."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet
from tests.gpus.cuda_image import IMAGE, WITHOUT_SMI, gpu_uuids, write_cdi, write_root
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure


class GpuSide:
    """What a test of pins has in hand."""

    def __init__(self, engine: DockerEngine, agent: AgentProcess, home: Path) -> None:
        self.engine, self.agent, self.home = engine, agent, home
        self.gpus = gpu_uuids()
        entry = NodeEntry(name="dock", address=f"unix://{agent.sockets['operator']}")
        self._fleet = write_fleet(home / "fleet.yaml", [entry])

    def roost(self, *arguments: str | Path) -> Done:
        return roost(self.home, "--fleet", self._fleet, *arguments)

    def apply(self, **services: dict[str, Any]) -> Done:
        """Services of that image which hold 256 MiB of their GPU unless they say otherwise."""
        for service in services.values():
            service.setdefault("image", IMAGE)
            service.setdefault("command", ["holds", "256"])
            service.setdefault("network_mode", "none")
            service.setdefault("x-roost", {}).setdefault("soak", "1s")
        file = self.home / "compose.yaml"
        file.write_text(json.dumps({"name": "app", "services": services}))
        return self.roost("workload", "apply", file, "--to", "@dock")

    def seen(self, container: str) -> list[str]:
        """The UUIDs of the GPUs that CUDA names inside."""
        said = self.engine.docker("exec", container, "holds")
        return [line.rpartition(" ")[2] for line in said.splitlines()]

    def identity(self, container: str) -> str:
        return self.engine.docker("inspect", "--format", "{{.Id}}", container).strip()


@pytest.fixture(scope="module")
def gpu_engine(make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    """A Docker Engine that knows this machine's GPUs by CDI; its containers have no network."""
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=False)
        stack.callback(enclosure.close)
        specs = enclosure.folder / "cdi"
        write_cdi(specs)
        engine = DockerEngine(
            enclosure,
            {
                "bridge": "none",
                "iptables": False,
                "ip6tables": False,
                "userland-proxy": False,
                "features": {"cdi": True},
                "cdi-spec-dirs": [str(specs)],
            },
        )
        engine.start()
        root = str(write_root(enclosure.folder))
        engine.docker("import", root, IMAGE)
        engine.docker("import", "--change", "ENV PATH=/bin", root, WITHOUT_SMI)
        yield engine


@pytest.fixture
def side(gpu_engine: DockerEngine, short_folder: Path, tmp_path: Path) -> Iterator[GpuSide]:
    with AgentProcess(short_folder, {"runtime": gpu_engine.url}) as agent:
        yield GpuSide(gpu_engine, agent, tmp_path)
    gpu_engine.clear()


@pytest.fixture
def two_gpus(side: GpuSide) -> GpuSide:
    """Skips where there is one."""
    if len(side.gpus) < 2:
        pytest.skip("one GPU")
    return side
