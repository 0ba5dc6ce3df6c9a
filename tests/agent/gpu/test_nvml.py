"""Healthy GPUs of all kinds, under the real pynvml."""

from __future__ import annotations

import pytest

from agent.protocol.gpus import GpuHealth
from tests.agent.gpu.conftest import Node
from tests.nvml_stub import scenario as scenarios
from tests.nvml_stub.scenario import MEBIBYTE


async def test_eight_recorded_h200_are_healthy_in_spite_of_their_errors(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path))
    source = node.source()
    inventory = await source.inventory()
    stack = inventory.stack
    assert (stack.state, stack.reason, stack.source) == ("ok", None, "nvml")
    assert (stack.driver_version, stack.cuda_version) == ("580.159.04", "13.0")
    assert (stack.nvml_version, stack.module_version) == ("13.580.159.04", "580.159.04")
    assert stack.library_version == "580.159.04"
    assert [gpu.uuid for gpu in inventory.gpus] == [scenarios.uuid_of(n) for n in range(8)]
    gpu = inventory.gpus[3]
    assert (gpu.index, gpu.minor, gpu.name) == (3, 3, "NVIDIA H200")
    assert gpu.pci_bus_id == "00000000:04:00.0"
    assert (gpu.compute_capability, gpu.architecture) == ("9.0", "hopper")
    assert gpu.brand == "nvidia"
    assert (gpu.memory_total_bytes, gpu.unified_memory) == (150754820096, False)
    assert (gpu.power_limit_watts, gpu.persistence, gpu.ecc) == (700.0, True, True)
    assert (gpu.mig, gpu.mig_instances) == (False, [])
    assert (gpu.pcie_link_generation, gpu.pcie_link_width) == (5, 16)
    assert gpu.unknown == {}

    reading = await source.read()
    assert [sample.uuid for sample in reading.samples] == [gpu.uuid for gpu in inventory.gpus]
    assert reading.processes == ()
    sample = reading.samples[3]
    assert (sample.state, sample.reason) == ("ok", None)
    assert (sample.utilization_percent, sample.memory_utilization_percent) == (0.0, 0.0)
    assert (sample.encoder_percent, sample.decoder_percent) == (0.0, 0.0)
    assert (sample.memory_used_bytes, sample.memory_reserved_bytes) == (0, 644939776)
    assert sample.memory_total_bytes == 150754820096
    assert (sample.temperature_celsius, sample.memory_temperature_celsius) == (36.0, 38.0)
    assert (sample.power_watts, sample.energy_joules) == (127.845, 2168.296)
    assert (sample.sm_clock_mhz, sample.memory_clock_mhz) == (1980, 3201)
    assert (sample.fan_percent, sample.unknown) == (None, {"fan_percent": "not_supported"})
    assert (sample.performance_state, sample.throttle, sample.pcie_replay_count) == (0, [], 0)

    health = (await source.health())[3]
    assert health == GpuHealth(
        uuid=gpu.uuid,
        remapped_correctable=0,
        remapped_uncorrectable=0,
        remap_pending=False,
        remap_failed=False,
        ecc_corrected_volatile=0,
        ecc_uncorrected_volatile=0,
        ecc_corrected_aggregate=0,
        ecc_uncorrected_aggregate=0,
        slowdown_celsius=89.0,
        unknown={
            "retired_pages_pending": "not_supported",
            "retired_pages_single_bit": "not_supported",
            "retired_pages_double_bit": "not_supported",
        },
    )


async def test_driver_470_is_asked_the_older_ways(node: Node) -> None:
    node.install(scenarios.t4(node.scenario.path), variant="470")
    node.scenario.process(0, pid=31, memory=900 * MEBIBYTE)
    node.scenario.set(0, clock_reasons=0x20 | 0x4 | 0x1)
    node.scenario.save()
    source = node.source()
    for _ in range(3):
        reading = await source.read()
    sample = reading.samples[0]
    assert sample.state == "ok"
    # The old memory call counts the reserved as used and does not name it.
    assert sample.memory_used_bytes == 1073741824
    assert sample.memory_reserved_bytes is None
    assert sample.unknown["memory_reserved_bytes"] == "function_missing"
    assert sample.temperature_celsius == 36.0
    assert sample.throttle == ["sw_power_cap", "sw_thermal"]
    assert [(each.pid, each.memory_used_bytes) for each in reading.processes] == [
        (31, 900 * MEBIBYTE)
    ]
    calls = node.scenario.calls()
    assert ("nvmlDeviceGetComputeRunningProcesses_v3", "0") not in calls
    # Twice a reading: pynvml asks for the number first.
    assert calls["nvmlDeviceGetComputeRunningProcesses_v2", "0"] == 6
    health = (await source.health())[0]
    assert (health.retired_pages_pending, health.retired_pages_double_bit) == (False, 0)
    assert health.remap_failed is None
    assert health.unknown["remap_failed"] == "not_supported"
    assert (await source.inventory()).stack.cuda_version == "11.4"


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        *((0, "unknown"), (1, "quadro"), (2, "tesla"), (5, "geforce"), (9, "vcs")),
        *((12, "quadrortx"), (13, "nvidiartx"), (14, "nvidia"), (16, "titanrtx"), (99, "unknown")),
    ],
)
async def test_the_brand_in_the_words_of_constraints(node: Node, number: int, brand: str) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    node.scenario.set(scenarios.EVERY_GPU, brand=number)
    node.scenario.save()
    assert (await node.source().inventory()).gpus[0].brand == brand


async def test_a_brand_that_the_driver_does_not_tell_is_unknown(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    node.scenario.fail("nvmlDeviceGetBrand", 999, 1)
    node.scenario.save()
    told, silent = (await node.source().inventory()).gpus
    assert (told.brand, told.unknown) == ("nvidia", {})
    assert (silent.brand, silent.unknown) == (None, {"brand": "error:999"})


async def test_a_newer_call_that_the_driver_refuses_is_asked_once(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    node.scenario.fail("nvmlDeviceGetComputeRunningProcesses_v3", 13)
    node.scenario.fail("nvmlDeviceGetMemoryInfo_v2", 25)
    node.scenario.fail("nvmlDeviceGetCurrentClocksEventReasons", 13)
    node.scenario.set(1, clock_reasons=0x48)
    node.scenario.save()
    source = node.source()
    for _ in range(5):
        reading = await source.read()
    assert reading.samples[0].memory_used_bytes == 644939776
    assert reading.samples[1].throttle == ["hw_slowdown", "hw_thermal"]
    calls = node.scenario.calls()
    for call in ("ComputeRunningProcesses_v3", "MemoryInfo_v2", "CurrentClocksEventReasons"):
        made = [calls[f"nvmlDeviceGet{call}", gpu] for gpu in ("0", "1")]
        assert made == [1, 0], call


async def test_what_a_gpu_does_not_support_is_not_asked_again(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    source = node.source()
    for _ in range(20):
        sample = (await source.read()).samples[0]
        assert sample.unknown == {"fan_percent": "not_supported"}
    assert node.scenario.calls()["nvmlDeviceGetFanSpeed", "0"] == 1


async def test_costly_calls_are_rare_and_throughput_is_never_asked(node: Node) -> None:
    node.install(scenarios.geforce(node.scenario.path))
    source = node.source()
    for _ in range(60):
        sample = (await source.read()).samples[0]
        assert (sample.energy_joules, sample.fan_percent) == (2168.296, 54.0)
    calls = node.scenario.calls()
    assert calls["nvmlDeviceGetUtilizationRates", "0"] == 60
    assert calls["nvmlDeviceGetTotalEnergyConsumption", "0"] == 3
    assert calls["nvmlDeviceGetPcieReplayCounter", "0"] == 3
    assert calls["nvmlDeviceGetFanSpeed", "0"] == 13
    assert calls["nvmlDeviceGetPcieThroughput", "0"] == 0
    # Facts are not read at every look.
    assert calls["nvmlDeviceGetName", "0"] == 1
    assert calls["nvmlDeviceGetMigMode", "0"] == 1


async def test_geforce_has_no_ecc_and_no_mig(node: Node) -> None:
    node.install(scenarios.geforce(node.scenario.path))
    source = node.source()
    gpu = (await source.inventory()).gpus[0]
    assert (gpu.ecc, gpu.mig) == (None, None)
    assert gpu.unknown == {"ecc": "not_supported", "mig": "not_supported"}
    reading = await source.read()
    assert reading.samples[0].state == "ok"
    assert reading.samples[0].throttle == ["sw_power_cap"]
    assert reading.samples[0].memory_temperature_celsius is None
    assert reading.samples[0].unknown == {"memory_temperature_celsius": "not_supported"}


async def test_unified_memory_is_the_systems(node: Node) -> None:
    node.install(scenarios.gb10(node.scenario.path))
    source = node.source()
    gpu = (await source.inventory()).gpus[0]
    assert (gpu.unified_memory, gpu.memory_total_bytes) == (True, 131072000 * 1024)
    assert "memory_total_bytes" not in gpu.unknown
    sample = (await source.read()).samples[0]
    assert sample.memory_used_bytes == 1000 * MEBIBYTE
    assert sample.memory_total_bytes == 131072000 * 1024
    assert "memory_used_bytes" not in sample.unknown
    assert sample.unknown["memory_reserved_bytes"] == "not_supported"


async def test_a_total_of_zero_is_unified_memory_too(node: Node) -> None:
    node.install(scenarios.gb10(node.scenario.path))
    node.scenario.set(0, memory=(0, 0, 0))
    node.scenario.save()
    source = node.source()
    assert (await source.inventory()).gpus[0].unified_memory
    assert (await source.read()).samples[0].memory_used_bytes == 1000 * MEBIBYTE


async def test_unified_memory_without_a_process_list_is_unknown(node: Node) -> None:
    node.install(scenarios.gb10(node.scenario.path))
    node.scenario.fail("nvmlDeviceGetComputeRunningProcesses_v3", 4)
    node.scenario.save()
    sample = (await node.source().read()).samples[0]
    assert sample.memory_used_bytes is None
    assert sample.unknown["memory_used_bytes"] == "no_permission"
    assert sample.unknown["processes"] == "no_permission"


async def test_mig_devices_are_found_across_gaps(node: Node) -> None:
    node.install(scenarios.a100_mig(node.scenario.path))
    source = node.source()
    gpu = (await source.inventory()).gpus[0]
    assert gpu.mig is True
    assert [
        (each.index, each.profile, each.gpu_instance_id, each.compute_instance_id)
        for each in gpu.mig_instances
    ] == [(0, "3g.20gb", 1, 0), (2, "2g.10gb", 3, 0), (5, "1g.5gb", 9, 0)]
    assert gpu.mig_instances[1].memory_total_bytes == 9856 * MEBIBYTE
    reading = await source.read()
    sample = reading.samples[0]
    assert sample.state == "ok"
    assert sample.utilization_percent is None
    assert sample.unknown["utilization_percent"] == "mig"
    assert reading.processes[0].mig_uuid == gpu.mig_instances[1].uuid


async def test_a_sliced_gpu_without_memory_figures_is_not_unified(node: Node) -> None:
    node.install(scenarios.a100_mig(node.scenario.path))
    node.scenario.set(0, memory=None)
    node.scenario.set(scenarios.EVERY_GPU, memory=None)
    node.scenario.save()
    source = node.source()
    gpu = (await source.inventory()).gpus[0]
    assert (gpu.unified_memory, gpu.memory_total_bytes) == (False, None)
    assert gpu.unknown["memory_total_bytes"] == "mig"
    assert (await source.read()).samples[0].memory_used_bytes is None


async def test_a_new_mig_layout_is_seen(node: Node) -> None:
    node.install(scenarios.a100_mig(node.scenario.path))
    source = node.source()
    before = await source.inventory()
    assert await source.inventory() is before
    node.scenario.set("0/2", uuid=None)
    node.scenario.save()
    node.clock.now += 31
    after = await source.inventory()
    assert [each.index for each in after.gpus[0].mig_instances] == [0, 5]


async def test_process_kinds_and_unknown_memory(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    node.scenario.process(0, pid=1, memory=5)
    node.scenario.process(0, pid=2, kind="graphics", memory=6)
    node.scenario.process(0, pid=1, kind="graphics", number=1, memory=5)
    node.scenario.process(1, pid=3, kind="mps")
    node.scenario.save()
    found = (await node.source().read()).processes
    assert [(each.gpu_uuid, each.pid, each.kind, each.memory_used_bytes) for each in found] == [
        (scenarios.uuid_of(0), 1, "compute", 5),
        (scenarios.uuid_of(0), 2, "graphics", 6),
        (scenarios.uuid_of(1), 3, "mps", None),
    ]
    # None of them is in procfs, as when the agent has a PID namespace of its own.
    assert found[0].unknown == {"name": "no_process", "container": "no_process"}
    assert found[2].unknown["memory_used_bytes"] == "not_supported"


async def test_processes_get_names_and_containers(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    container = "ab" * 32
    for pid, cgroup in ((50, f"0::/system.slice/docker-{container}.scope\n"), (51, "0::/init\n")):
        place = node.proc / str(pid)
        place.mkdir()
        (place / "comm").write_text(f"worker{pid}\n")
        (place / "cgroup").write_text(cgroup)
        node.scenario.process(0, number=pid - 50, pid=pid, memory=1)
    node.scenario.save()
    found = (await node.source().read()).processes
    assert [(each.name, each.container, each.unknown) for each in found] == [
        ("worker50", container, {}),
        ("worker51", None, {}),
    ]


async def test_bad_memory_is_counted(node: Node) -> None:
    node.install(scenarios.t4(node.scenario.path))
    node.scenario.set(0, retired__0=(0x1000, 0x2000), retired__1=(0x3000,), retired_pending=1)
    node.scenario.set(0, remapped=(3, 1, 1, 0), ecc__0__1=17)
    node.scenario.save()
    health = (await node.source().health())[0]
    assert (health.retired_pages_single_bit, health.retired_pages_double_bit) == (2, 1)
    assert health.retired_pages_pending is True
    assert (health.remapped_correctable, health.remapped_uncorrectable) == (3, 1)
    assert (health.remap_pending, health.remap_failed) == (True, False)
    assert health.ecc_corrected_aggregate == 17
