"""The lease: who goes on with a deployment counts on, in this boot and in another one."""

from __future__ import annotations

import msgspec
import pytest

from agent.workloads.lease import counted, renewed, seconds_left, taken_up
from agent.workloads.records import DeploymentRecord
from tests.agent.workloads.memory_side import MovedClock, memory_side


@pytest.fixture
async def record() -> DeploymentRecord:
    """One whose lease has not begun."""
    async with memory_side() as side:
        await side.steered("v1")
        return msgspec.structs.replace(side.record, lease_until=None, lease_left=None)


def test_an_agent_that_goes_on_gives_no_new_lease(record: DeploymentRecord) -> None:
    clock, whole = MovedClock(), record.shown.options.confirm_within
    assert seconds_left(record, clock) == whole
    begun = taken_up(record, clock)
    clock.at += 100.0
    assert seconds_left(begun, clock) == whole - 100.0
    again = taken_up(begun, clock)
    clock.at += 100.0
    assert seconds_left(again, clock) == whole - 200.0
    assert seconds_left(renewed(again, clock), clock) == whole
    clock.at += whole
    assert seconds_left(again, clock) == 0.0


def test_another_boot_counts_on_from_what_was_written(record: DeploymentRecord) -> None:
    clock, whole = MovedClock(), record.shown.options.confirm_within
    begun = taken_up(record, clock)
    clock.at += 100.0
    written = counted(begun, clock)
    clock.at += 50.0  # of which nothing was written
    clock.boot, clock.at = "b2", 5.0
    assert seconds_left(written, clock) == whole - 100.0
    again = taken_up(written, clock)
    clock.at += 10.0
    assert seconds_left(again, clock) == whole - 110.0
