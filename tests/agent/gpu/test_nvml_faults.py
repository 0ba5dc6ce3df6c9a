"""Drivers and GPUs that fail: each becomes a state with a reason, and comes back by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.gpu.source import Reading
from agent.protocol.gpus import GpuSample
from tests.agent.gpu.conftest import Node
from tests.nvml_stub import scenario as scenarios

UTILIZATION = "nvmlDeviceGetUtilizationRates"
# NVML's errors that are about one figure only. 1, 9 and 18 mean the driver, 15 and 16 the GPU.
HARMLESS = [*range(2, 9), 10, 11, 12, 13, 14, 17, *range(19, 31), 999]
WORDS = {3: "not_supported", 4: "no_permission", 13: "function_missing", 27: "not_ready"}


def states(reading: Reading) -> list[str]:
    return [sample.state for sample in reading.samples]


async def test_no_library(node: Node) -> None:
    stack = (await node.source().inventory()).stack
    assert (stack.state, stack.source) == ("no_library", "none")
    assert "nothing.so" in (stack.reason or "")


async def test_no_library_and_no_gpu_is_just_no_gpu(node: Node) -> None:
    node.put_on_pci(0)
    source = node.source()
    stack = (await source.inventory()).stack
    assert (stack.state, stack.source) == ("no_gpu", "none")
    assert stack.reason == "there is no NVIDIA GPU on the PCI bus"
    assert await source.read() == Reading()
    assert await source.health() == ()


async def test_driver_not_loaded(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path))
    node.scenario.fail("nvmlInitWithFlags", 9, "sys")
    node.scenario.save()
    (node.proc / "driver/nvidia/version").unlink()
    stack = (await node.source().inventory()).stack
    assert (stack.state, stack.source) == ("driver_not_loaded", "nvml")
    assert (stack.library_version, stack.module_version) == ("580.159.04", None)


async def test_driver_not_loaded_without_a_gpu_on_the_bus(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path))
    node.scenario.fail("nvmlInitWithFlags", 9, "sys")
    node.scenario.save()
    node.put_on_pci(0)
    assert (await node.source().inventory()).stack.state == "no_gpu"


async def test_a_mismatch_is_found_before_nvml_is_initialised(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path), module_version="570.86.15")
    source = node.source()
    stack = (await source.inventory()).stack
    assert stack.state == "driver_mismatch"
    assert (stack.module_version, stack.library_version) == ("570.86.15", "580.159.04")
    assert "570.86.15" in (stack.reason or "")
    assert "580.159.04" in (stack.reason or "")
    assert node.scenario.calls() == {}
    # After the module was reloaded.
    node.load_module("580.159.04")
    node.clock.now += 1.1
    stack = (await source.inventory()).stack
    assert (stack.state, stack.driver_version) == ("ok", "580.159.04")


async def test_a_mismatch_that_only_nvml_knows_of(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path))
    node.scenario.fail("nvmlInitWithFlags", 18, "sys")
    node.scenario.save()
    assert (await node.source().inventory()).stack.state == "driver_mismatch"


@pytest.mark.parametrize("code", [2, 3, 4, 12, 13, 15, 16, 17, 19, 25, 999])
async def test_each_error_of_init_is_a_state(node: Node, code: int) -> None:
    node.install(scenarios.h200(node.scenario.path))
    node.scenario.fail("nvmlInitWithFlags", code, "sys")
    node.scenario.save()
    source = node.source()
    stack = (await source.inventory()).stack
    assert stack.state == {4: "no_permission", 12: "no_library"}.get(code, "error")
    assert stack.reason
    assert await source.read() == Reading()


async def test_a_driver_without_gpus(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=0))
    stack = (await node.source().inventory()).stack
    assert stack.state == "error"
    assert stack.reason == "the driver lists no GPU, but 1 are on the PCI bus"
    node.put_on_pci(0)
    assert (await node.source().inventory()).stack.state == "no_gpu"


@pytest.mark.parametrize("code", HARMLESS)
async def test_most_errors_leave_a_figure_unknown_and_the_gpu_well(node: Node, code: int) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    node.scenario.fail(UTILIZATION, code, 1)
    node.scenario.save()
    source = node.source()
    reading = await source.read()
    assert states(reading) == ["ok", "ok"]
    assert (await source.inventory()).stack.state == "ok"
    sample = reading.samples[1]
    assert sample.utilization_percent is None
    word = WORDS.get(code, "function_missing" if code == 25 else f"error:{code}")
    assert sample.unknown["utilization_percent"] == word
    assert sample.temperature_celsius == 36.0


@pytest.mark.parametrize(
    ("code", "state", "word"), [(15, "lost", "gpu_lost"), (16, "reset_required", "reset_required")]
)
async def test_a_gpu_lost_mid_run_is_a_state_and_comes_back(
    node: Node, code: int, state: str, word: str
) -> None:
    node.install(scenarios.h200(node.scenario.path, count=3))
    source = node.source()
    assert states(await source.read()) == ["ok", "ok", "ok"]
    node.scenario.fail("any", code, 1)
    node.scenario.save()
    for _ in range(2):  # the second after a new nvmlInit, which does not help
        reading = await source.read()
        assert states(reading) == ["ok", state, "ok"]
        sample = reading.samples[1]
        assert sample.uuid == scenarios.uuid_of(1)
        assert sample.reason
        assert sample.memory_used_bytes is None
        assert set(sample.unknown.values()) == {word}
        assert set(sample.unknown) == set(GpuSample.__struct_fields__) - {
            *("uuid", "state", "reason", "throttle", "unknown")
        }
    assert (await source.health())[1].unknown["remap_failed"] == word
    inventory = await source.inventory()
    assert inventory.stack.state == "ok"
    assert [gpu.name for gpu in inventory.gpus] == ["NVIDIA H200"] * 3
    node.scenario.fail("any", None, 1)
    node.scenario.save()
    node.clock.now += 6
    assert states(await source.read()) == ["ok", "ok", "ok"]


async def test_a_lost_gpu_makes_nvml_start_anew_ever_more_rarely(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    node.scenario.fail("any", 15, 0)
    node.scenario.save()
    source = node.source()
    for _ in range(100):
        assert states(await source.read()) == ["lost", "ok"]
        node.clock.now += 1
    # At 0 s, and then 5, 10, 20, 40 s after the one before.
    assert node.scenario.calls()["nvmlInitWithFlags", "sys"] == 6


async def test_a_gpu_that_never_answered_is_in_the_inventory(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    node.scenario.fail("nvmlDeviceGetHandleByIndex_v2", 8, 1)
    node.scenario.save()
    source = node.source()
    gpu = (await source.inventory()).gpus[1]
    assert (gpu.uuid, gpu.index, gpu.name) == ("unknown-1", 1, "unknown")
    assert gpu.unknown["memory_total_bytes"] == "error:8"
    sample = (await source.read()).samples[1]
    assert (sample.uuid, sample.state) == ("unknown-1", "error")
    node.scenario.fail("nvmlDeviceGetHandleByIndex_v2", None, 1)
    node.scenario.save()
    node.clock.now += 60
    assert states(await source.read()) == ["ok", "ok"]
    uuids = [gpu.uuid for gpu in (await source.inventory()).gpus]
    assert uuids == [scenarios.uuid_of(0), scenarios.uuid_of(1)]


async def test_a_gpu_that_answers_nothing_but_errors_is_an_error(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    source = node.source()
    await source.read()
    node.scenario.fail("any", 999, 0)
    node.scenario.save()
    reading = await source.read()
    assert states(reading) == ["error", "ok"]
    assert "error:999" in (reading.samples[0].reason or "")
    # As when a container lost its devices: a new start of NVML finds out.
    node.scenario.fail("nvmlInitWithFlags", 999, "sys")
    node.scenario.save()
    assert states(await source.read()) == ["error", "error"]
    assert (await source.inventory()).stack.reason == "nvmlInit failed with NVML error 999"


@pytest.mark.parametrize("make", [scenarios.gb10, scenarios.a100_mig])
async def test_gpus_with_fewer_figures_can_be_errors_too(
    node: Node, make: Callable[[Path], scenarios.Scenario]
) -> None:
    node.install(make(node.scenario.path))
    source = node.source()
    assert states(await source.read()) == ["ok"]
    node.scenario.fail("any", 4, 0)
    node.scenario.save()
    sample = (await source.read()).samples[0]
    assert (sample.state, sample.power_watts) == ("error", None)
    assert sample.unknown["power_watts"] == "no_permission"


@pytest.mark.parametrize(
    ("code", "state"),
    [(1, "driver_not_loaded"), (9, "driver_not_loaded"), (18, "driver_mismatch")],
)
async def test_the_driver_goes_mid_run_and_returns(node: Node, code: int, state: str) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    source = node.source()
    before = await source.inventory()
    node.scenario.fail("any", code)
    node.scenario.fail("nvmlInitWithFlags", code, "sys")
    node.scenario.save()
    reading = await source.read()
    assert states(reading) == ["error", "error"]
    assert reading.samples[0].unknown["power_watts"] == state
    inventory = await source.inventory()
    assert (inventory.stack.state, inventory.gpus) == (state, before.gpus)
    assert inventory.stack.reason == reading.samples[0].reason
    for _ in range(60):
        node.clock.now += 1
        await source.read()
    # At 1, 3, 7, 15, 31 s: the start before the fault was the first.
    assert node.scenario.calls()["nvmlInitWithFlags", "sys"] == 6
    node.scenario.fail("any", None)
    node.scenario.fail("nvmlInitWithFlags", None, "sys")
    node.scenario.save()
    node.clock.now += 60
    assert states(await source.read()) == ["ok", "ok"]
    assert await source.inventory() == before


async def test_after_an_upgrade_the_new_library_takes_the_old_ones_place(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    link = node.folder / "libnvidia-ml.so.1"
    link.symlink_to(node.library.resolve())
    node.library = link
    source = node.source()
    assert (await source.inventory()).stack.library_version == "580.159.04"
    # The package's new files, and the module reloaded.
    new = scenarios.t4(node.scenario.path)
    node.install(new, variant="470")
    link.unlink()
    link.symlink_to(node.library.resolve())
    new.fail("nvmlDeviceGetPowerUsage", 18)
    new.save()
    await source.read()
    new.fail("nvmlDeviceGetPowerUsage", None)
    new.save()
    node.clock.now += 2
    reading = await source.read()
    stack = (await source.inventory()).stack
    assert (stack.library_version, stack.driver_version) == ("470.256.02", "470.256.02")
    assert reading.samples[0].unknown["memory_reserved_bytes"] == "function_missing"


async def test_a_gpu_that_the_driver_lists_no_more_stays_as_lost(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    source = node.source()
    await source.inventory()
    node.scenario.set("sys", count=1)
    node.scenario.fail("any", 15, 1)
    node.scenario.save()
    for _ in range(2):
        reading = await source.read()
        assert states(reading) == ["ok", "lost"]
    assert reading.samples[1].reason == "the driver does not list this GPU any more"
    assert [gpu.index for gpu in (await source.inventory()).gpus] == [0, 1]


async def test_stop_leaves_the_library_unloaded(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    source = node.source()
    await source.start()
    await source.start()
    await source.read()
    maps = (node.proc / "self/maps").read_text()
    assert str(node.library.resolve()) in maps
    await source.stop()
    assert str(node.library.resolve()) not in (node.proc / "self/maps").read_text()
    await source.stop()
    assert node.scenario.calls()["nvmlShutdown", "sys"] == 1
