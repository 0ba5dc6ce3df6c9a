"""Simulated nodes in a process of their own, as a fleet.yaml names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.console.cli.commands import write_fleet
from tests.console.cli.signing_bench import Bench
from tests.real.docker_engine import DockerEngine
from tests.simulated import simulator_process

NODES = 15  # every kind, and every fault


@pytest.fixture(scope="package")
def simulated_entries() -> Iterator[list[NodeEntry]]:
    """plant-1-t4, ...; with the default faults, one of them offline."""
    with simulator_process(NODES) as simulator:
        yield msgspec.convert(msgspec.to_builtins(simulator.nodes.nodes), list[NodeEntry])


@pytest.fixture
def fleet(simulated_entries: list[NodeEntry], tmp_path: Path) -> Path:
    """A fleet.yaml of all simulated nodes but the slow ones; plant-2-a10 is in production."""
    entries = [
        msgspec.structs.replace(entry, production=entry.name == "plant-2-a10")
        for entry in simulated_entries
        if "slow" not in entry.name and "flapping" not in entry.name
    ]
    return write_fleet(tmp_path / "fleet.yaml", entries)


@pytest.fixture
def docker_fleet(docker_engine: DockerEngine, short_folder: Path, tmp_path: Path) -> Iterator[Path]:
    """A fleet of one real agent over the private Docker Engine."""
    with AgentProcess(short_folder, {"runtime": docker_engine.url}) as agent:
        entry = NodeEntry(name="dock", address=f"unix://{agent.sockets['operator']}")
        yield write_fleet(tmp_path / "fleet.yaml", [entry])
    docker_engine.clear()


@pytest.fixture
def bench(
    docker_engine: DockerEngine, short_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Bench]:
    required = getattr(request, "param", False)
    settings = {
        "runtime": docker_engine.url,
        "policy": {"require_signature": required},
        "trusted_keys": str(short_folder / "trusted-keys"),
    }
    with AgentProcess(short_folder, settings) as agent:
        yield Bench(tmp_path, agent, docker_engine)
    docker_engine.clear()
    docker_engine.clear_images()
