"""What reading costs: calls and memory, counted."""

from __future__ import annotations

import gc
import os
import tracemalloc

import pytest

from tests.agent.gpu.conftest import Node
from tests.nvml_stub import scenario as scenarios

KIBIBYTE = 1024


@pytest.mark.timeout(60)
async def test_two_thousand_readings_leave_nothing_behind(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    node.scenario.process(0, pid=os.getpid(), memory=1)
    node.scenario.save()
    source = node.source()
    for _ in range(200):
        await source.read()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for turn in range(2000):
        node.clock.now += 1
        await source.read()
        if turn % 10 == 0:
            await source.inventory()
        if turn % 60 == 0:
            await source.health()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # What is alive at any moment: a reading, an inventory, kept figures. 1 byte a reading is 2 KiB.
    assert after - before < 48 * KIBIBYTE


async def test_a_reading_asks_few_questions(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path))
    source = node.source()
    await source.read()
    before = node.scenario.calls()
    readings = 30
    for _ in range(readings):
        await source.read()
    made = node.scenario.calls() - before
    of_gpus = {key: count for key, count in made.items() if key[1] != "sys"}
    every_time = {call for (call, _), count in of_gpus.items() if count >= readings}
    assert every_time == {
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetPowerUsage",
        "nvmlDeviceGetClockInfo",
        "nvmlDeviceGetPerformanceState",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetGraphicsRunningProcesses_v3",
        "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    }
    assert sum(of_gpus.values()) / readings / 8 < 12


async def test_the_costly_calls_of_eight_gpus_fall_into_different_readings(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path))
    source = node.source()
    await source.read()
    most = 0
    for _ in range(30):
        before = node.scenario.calls()
        await source.read()
        made = node.scenario.calls() - before
        energy = [made["nvmlDeviceGetTotalEnergyConsumption", str(gpu)] for gpu in range(8)]
        most = max(most, sum(energy))
    assert most == 1
