"""The lease of `confirm_within` over reboots, counted on a clock that stands still meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.protocol.deployments import DeployOptions
from agent.workloads import machine
from agent.workloads.lease import LinuxBootClock
from tests.agent.workloads.workload_side import UUIDS, WorkloadSide, workload_side
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

ON_FIRST = ("--gpus", f"device={UUIDS[0]}")
WITHIN = DeployOptions(confirm="manual", confirm_within=100)


class Boot:
    """A clock that a test turns."""

    def __init__(self, boot: str, seconds: float) -> None:
        self.boot, self.seconds = boot, seconds

    def now(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def counted_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "COUNT_LEASE_SECONDS", 0.0)


async def left(node: WorkloadSide, clock: Boot, seconds: float) -> None:
    """Until it is written down in this boot that so much is left."""
    while True:
        [record] = node.workloads._store.deployments()
        assert record.shown.state == "canary", record.shown
        if (record.lease_boot, record.shown.lease_seconds_left) == (clock.boot, seconds):
            return
        await asyncio.sleep(0)


async def test_the_remainder_goes_over_a_reboot(engine: DockerEngine, tmp_path: Path) -> None:
    """Time without power does not count, and the new boot's clock begins anew."""
    before, after = Boot("a", 5000.0), Boot("b", 7.0)
    async with workload_side(engine, tmp_path / "agent.db", boot_clock=before) as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        await node.begin_pin("detector", "1", options=WITHIN)
        await node.reaches("canary")
        await left(node, before, 100.0)
        before.seconds += 60
        await left(node, before, 40.0)
    async with workload_side(engine, tmp_path / "agent.db", boot_clock=after) as node:
        await left(node, after, 40.0)
        after.seconds += 39
        await left(node, after, 1.0)
        after.seconds += 1
        shown = await node.reaches("reverted", "done", "stuck")
        assert shown.state == "reverted"
        assert shown.problem is not None
        assert shown.problem.code == "deploy.unconfirmed"
        assert node.names() == {"detector": "running"}
        assert node.inspect("detector")["Id"] == first


async def test_reboot_after_reboot(engine: DockerEngine, tmp_path: Path) -> None:
    """Each boot takes its share of it; a clock that is far ahead there takes no more."""
    begun, last = Boot("a", 10.0), Boot("d", 3.0)
    async with workload_side(engine, tmp_path / "agent.db", boot_clock=begun) as node:
        node.run("detector", *ON_FIRST)
        await node.begin_pin("detector", "1", options=WITHIN)
        await node.reaches("canary")
        await left(node, begun, 100.0)
    for remains, clock in ((100.0, Boot("b", 1e6)), (70.0, Boot("c", 0.0))):
        async with workload_side(engine, tmp_path / "agent.db", boot_clock=clock) as node:
            await left(node, clock, remains)
            clock.seconds += 30
            await left(node, clock, remains - 30)
    async with workload_side(engine, tmp_path / "agent.db", boot_clock=last) as node:
        await left(node, last, 40.0)
        deployment = node.deployment().id
        assert (await node.workloads.deployments.confirm(deployment)).confirmed
        assert (await node.reaches("done", "reverted", "stuck")).state == "done"


async def test_whoever_steers_renews_it(engine: DockerEngine, tmp_path: Path) -> None:
    """While it lasts, and whole again each time; what is over is not renewed."""
    clock = Boot("a", 10.0)
    async with workload_side(engine, tmp_path / "agent.db", boot_clock=clock) as node:
        node.run("detector", *ON_FIRST)
        await node.begin_pin("detector", "1", options=WITHIN)
        deployments, shown = node.workloads.deployments, await node.reaches("canary")
        for _ in range(3):
            await left(node, clock, 100.0)
            clock.seconds += 99
            await left(node, clock, 1.0)
            assert (await deployments.renew(shown.id)).lease_seconds_left == 100.0
        clock.seconds += 100
        assert (await node.reaches("reverted", "done", "stuck")).state == "reverted"
        over = await deployments.renew(shown.id)
        assert (over.state, over.lease_seconds_left) == ("reverted", None)
        assert node.names() == {"detector": "running"}


async def test_a_boot_counts_from_its_start(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a node whose boots are all shorter than the time between two counts keeps it forever."""
    monkeypatch.setattr(machine, "COUNT_LEASE_SECONDS", 1e9)
    begun, next_one = Boot("a", 10.0), Boot("b", 3.0)
    async with workload_side(engine, tmp_path / "agent.db", boot_clock=begun) as node:
        node.run("detector", *ON_FIRST)
        await node.begin_pin("detector", "1", options=WITHIN)
        await node.reaches("canary")
        await left(node, begun, 100.0)
    async with workload_side(engine, tmp_path / "agent.db", boot_clock=next_one) as node:
        await left(node, next_one, 100.0)


def test_the_clock_of_this_machine(tmp_path: Path) -> None:
    """Where the kernel names no boot, every agent's is another one."""
    clock = LinuxBootClock()
    assert clock.boot == LinuxBootClock().boot != ""
    assert clock.now() <= clock.now()
    assert LinuxBootClock(tmp_path / "nothing").boot == ""
