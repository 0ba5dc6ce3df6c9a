"""Calls that do not come back: the GPU is hung, the agent is not."""

from __future__ import annotations

import asyncio
import threading

from tests.agent.gpu.conftest import IMPATIENT, QUICK, Node
from tests.agent.gpu.test_nvml_faults import UTILIZATION, states
from tests.nvml_stub import scenario as scenarios
from tests.waiting import until


def nvml_threads() -> int:
    return sum(thread.name == "nvml" for thread in threading.enumerate())


async def wait_for_threads(count: int) -> None:
    await until(lambda: nvml_threads() <= count)


async def test_one_hung_gpu_leaves_the_others_readable(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path))
    source = node.source(IMPATIENT)
    await source.read()
    node.scenario.hang(UTILIZATION, 2)
    node.scenario.save()
    reading = await source.read()
    assert states(reading) == ["ok", "ok", "hung", "ok", "ok", "ok", "ok", "ok"]
    assert reading.samples[2].reason == f"{UTILIZATION} does not come back"
    assert set(reading.samples[2].unknown.values()) == {"hung"}
    assert (await source.inventory()).stack.state == "ok"
    # Held from now on: not asked again, and no further thread is lost.
    asked = node.scenario.calls()[UTILIZATION, "2"]
    for _ in range(5):
        assert states(await source.read())[2] == "hung"
    assert (await source.health())[2].unknown["remap_failed"] == "hung"
    assert node.scenario.calls()[UTILIZATION, "2"] == asked
    assert nvml_threads() == 2
    # The call comes back: so does the GPU, at once.
    node.scenario.hang(UTILIZATION, 2, None)
    node.scenario.save()
    await wait_for_threads(1)
    assert states(await source.read()) == ["ok"] * 8


async def test_a_hung_gpu_is_tried_with_a_fresh_thread_but_not_for_ever(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    source = node.source(IMPATIENT)
    await source.read()
    node.scenario.hang(UTILIZATION, 0)
    node.scenario.save()
    for _ in range(120):
        assert states(await source.read()) == ["hung", "ok"]
        node.clock.now += 1
    # One thread when it hung, one try after the back-off; then only waiting.
    assert node.scenario.calls()[UTILIZATION, "0"] == 3
    assert nvml_threads() == 3


async def test_a_gpu_that_answers_the_second_thread_is_well_again(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    source = node.source(IMPATIENT)
    await source.read()
    node.scenario.hang(UTILIZATION, 0)
    node.scenario.save()
    assert states(await source.read()) == ["hung", "ok"]
    # The call works again, but the one that hung never learns of it.
    node.scenario.set("sys", keep_hanging=1)
    node.scenario.hang(UTILIZATION, 0, None)
    node.scenario.save()
    assert states(await source.read()) == ["hung", "ok"]
    node.clock.now += 11
    for _ in range(3):
        assert states(await source.read()) == ["ok", "ok"]
    assert nvml_threads() == 2


async def test_when_every_gpu_hangs_the_driver_does(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path))
    source = node.source(IMPATIENT)
    await source.read()
    node.scenario.hang(UTILIZATION)
    node.scenario.save()
    # Two in one reading are enough to know: the others are not tried.
    for _ in range(40):
        reading = await source.read()
        assert states(reading) == ["hung"] * 8
        inventory = await source.inventory()
        assert (inventory.stack.state, len(inventory.gpus)) == ("hung", 8)
        assert inventory.stack.reason == f"{UTILIZATION} does not come back"
        node.clock.now += 1
    # Once more after the back-off, and then only waiting.
    calls = node.scenario.calls()
    assert [calls[UTILIZATION, str(gpu)] for gpu in range(8)] == [3, 3, 1, 1, 1, 1, 1, 1]
    node.scenario.hang(UTILIZATION, seconds=None)
    node.scenario.save()
    await wait_for_threads(1)
    assert states(await source.read()) == ["ok"] * 8
    assert (await source.inventory()).stack.state == "ok"


async def test_init_that_hangs_is_a_state_and_is_tried_again(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    node.scenario.hang("nvmlInitWithFlags", "sys")
    node.scenario.save()
    source = node.source(IMPATIENT)
    stack = (await source.inventory()).stack
    assert (stack.state, stack.reason) == ("hung", "nvmlInit does not come back")
    for _ in range(3):
        assert (await source.inventory()).stack.state == "hung"
    assert node.scenario.calls()["nvmlInitWithFlags", "sys"] == 1
    node.scenario.hang("nvmlInitWithFlags", "sys", None)
    node.scenario.save()
    await wait_for_threads(0)
    node.clock.now += 2
    assert (await source.inventory()).stack.state == "ok"


async def test_a_slow_init_does_not_hold_up_the_reading(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    node.scenario.hang("nvmlInitWithFlags", "sys")
    node.scenario.save()
    source = node.source(QUICK._replace(patience=0.05))
    stack = (await source.inventory()).stack
    assert (stack.state, stack.reason) == ("hung", "the driver has not finished its start")
    assert (await source.read()).samples == ()
    node.scenario.hang("nvmlInitWithFlags", "sys", None)
    node.scenario.save()
    while not (reading := await source.read()).samples:
        pass
    assert states(reading) == ["ok"]
    assert node.scenario.calls()["nvmlInitWithFlags", "sys"] == 1


async def test_a_gpu_that_hangs_while_it_is_looked_for(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=3))
    node.scenario.hang("nvmlDeviceGetUUID", 1)
    node.scenario.save()
    source = node.source(IMPATIENT)
    inventory = await source.inventory()
    assert inventory.stack.state == "ok"
    assert [gpu.uuid for gpu in inventory.gpus] == [
        *(scenarios.uuid_of(0), "unknown-1", scenarios.uuid_of(2))
    ]
    assert states(await source.read()) == ["ok", "hung", "ok"]
    node.scenario.hang("nvmlDeviceGetUUID", 1, None)
    node.scenario.save()
    await wait_for_threads(1)
    await source.read()  # sees that the GPU may be tried, and the next starts NVML anew
    assert states(await source.read()) == ["ok", "ok", "ok"]
    assert (await source.inventory()).gpus[1].uuid == scenarios.uuid_of(1)


async def test_stop_ends_although_a_call_hangs(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    source = node.source(IMPATIENT)
    await source.read()
    node.scenario.hang(UTILIZATION, 0)
    node.scenario.hang("nvmlShutdown", "sys")
    node.scenario.save()
    await source.read()
    await source.stop()
    # The code in which a thread is must stay where it is.
    assert str(node.library.resolve()) in (node.proc / "self/maps").read_text()


async def test_a_reading_that_is_cancelled_leaves_no_one_waiting(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    source = node.source(QUICK._replace(call=30))
    await source.read()
    node.scenario.hang(UTILIZATION, 0)
    node.scenario.save()
    reading = asyncio.create_task(source.read())
    await until(lambda: node.scenario.calls()[UTILIZATION, "0"] == 2)
    reading.cancel()
    await asyncio.wait({reading})
    node.scenario.hang(UTILIZATION, 0, None)
    node.scenario.save()
    assert states(await source.read()) == ["ok", "ok"]
