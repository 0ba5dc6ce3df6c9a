"""Simulated nodes for tests: in the test's own loop, or many in a process of their own.

from tests.simulated import simulated_fleet  # the fixture

async def test_something(simulated_fleet: SimulatedFleet) -> None:
    await simulated_fleet.misbehave("plant-1-t4", "garbage")
    connect_to(simulated_fleet.address("plant-1-t4"))
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from agent.simulation.fleet import NodeList, SimulatedFleet
from agent.simulation.plan import plan_fleet


@pytest.fixture
async def simulated_fleet(short_folder: Path) -> AsyncIterator[SimulatedFleet]:
    """A T4, an A10 and a 4090 node at plants 1 to 3, all changing each second, all wired."""
    plans = plan_fleet(3, faults=False)
    async with SimulatedFleet(plans, short_folder, change=1.0, wired=True) as fleet:
        yield fleet


class SimulatorProcess(msgspec.Struct):
    """A running `roost-agent simulate`."""

    pid: int
    folder: Path
    nodes: NodeList


@contextmanager
def simulator_process(
    count: int, *, change: float = 0.2, faults: bool = True, seed: int = 0
) -> Iterator[SimulatorProcess]:
    """So many nodes in a process of their own; up when entered, gone when left."""
    with TemporaryDirectory(prefix="r", dir="/tmp") as parent:
        folder = Path(parent) / "nodes"
        command = [
            str(Path(sys.executable).with_name("roost-agent")),
            "simulate",
            f"--nodes={count}",
            f"--folder={folder}",
            f"--change={change}",
            f"--faults={'default' if faults else 'none'}",
            f"--seed={seed}",
            "--with-parent",
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "roost-agent simulate ended before its nodes were up"
            yield SimulatorProcess(process.pid, folder, msgspec.json.decode(line, type=NodeList))
        # Leaving closed its standard input, which it takes as the word to end.
        assert process.returncode == 0
