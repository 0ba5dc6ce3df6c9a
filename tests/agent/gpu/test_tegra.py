"""Jetsons, as trees of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.gpu.detect import gpu_source
from agent.gpu.nvml import NvmlSource
from agent.gpu.tegra import TegraSource
from agent.gpu.tegra_files import is_tegra, l4t_version, power_mode
from agent.protocol.gpus import GpuHealth


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


RELEASE = "# R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic, EABI: aarch64\n"
ORIN = {
    "etc/nv_tegra_release": RELEASE,
    "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    "proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0",
    "proc/device-tree/serial-number": "1421022017755\0",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  "
    "540.4.0  Release Build  (buildbrain@mobile)\nGCC version: collect2\n",
    "proc/meminfo": "MemTotal: 64349696 kB\nMemFree: 1 kB\nMemAvailable: 50000000 kB\n",
    "sys/class/devfreq/15340000.vic/cur_freq": "115200000\n",
    "sys/class/devfreq/17000000.gpu/cur_freq": "1300500000\n",
    "sys/class/devfreq/17000000.gpu/device/load": "873\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "41000\n",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "46531\n",
    "sys/class/hwmon/hwmon0/name": "pwmfan\n",
    "sys/class/hwmon/hwmon0/pwm1": "51\n",
    "sys/class/hwmon/hwmon1/name": "ina3221\n",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_GPU_SOC\n",
    "sys/class/hwmon/hwmon1/in1_input": "19944\n",
    "sys/class/hwmon/hwmon1/curr1_input": "160\n",
    "sys/class/hwmon/hwmon1/in2_label": "VDD_CPU_CV\n",
    "sys/class/hwmon/hwmon1/in2_input": "19944\n",
    "sys/class/hwmon/hwmon1/curr2_input": "40\n",
}
XAVIER = {
    "etc/nv_tegra_release": "# R35 (release), REVISION: 5.0, GCID: 35550185, BOARD: t186ref\n",
    "proc/device-tree/model": "Jetson-AGX\0",
    "proc/device-tree/compatible": "nvidia,p2972-0000\0nvidia,tegra194\0",
    "proc/meminfo": "MemTotal: 32000000 kB\nMemAvailable: 30000000 kB\n",
    "sys/class/devfreq/17000000.gv11b/cur_freq": "318750000\n",
    "sys/class/devfreq/17000000.gv11b/device/load": "0\n",
    "sys/class/thermal/thermal_zone0/type": "GPU-therm\n",
    "sys/class/thermal/thermal_zone0/temp": "-256000\n",
}


async def test_orin(tmp_path: Path) -> None:
    write(tmp_path, ORIN)
    source = TegraSource(root=tmp_path)
    await source.start()
    inventory = await source.inventory()
    assert await source.inventory() is inventory
    stack = inventory.stack
    assert (stack.state, stack.source, stack.l4t_version) == ("ok", "tegra", "36.4.0")
    assert (stack.module_version, stack.cuda_version) == ("540.4.0", None)
    assert stack.unknown["cuda_version"] == "not_supported"
    (gpu,) = inventory.gpus
    assert (gpu.uuid, gpu.name) == ("TEGRA-1421022017755", "NVIDIA Jetson AGX Orin Developer Kit")
    assert (gpu.compute_capability, gpu.architecture) == ("8.7", "ampere")
    assert (gpu.unified_memory, gpu.memory_total_bytes) == (True, 64349696 * 1024)
    assert set(gpu.unknown) == {
        *("brand", "minor", "pci_bus_id", "power_limit_watts", "persistence", "ecc"),
        *("pcie_link_generation", "pcie_link_width"),
    }
    (sample,) = (await source.read()).samples
    assert (sample.uuid, sample.state) == (gpu.uuid, "ok")
    assert sample.utilization_percent == pytest.approx(87.3)
    assert sample.memory_used_bytes == (64349696 - 50000000) * 1024
    assert sample.temperature_celsius == pytest.approx(46.531)
    assert sample.power_watts == pytest.approx(19.944 * 0.16)
    assert sample.sm_clock_mhz == 1300
    assert sample.fan_percent == pytest.approx(20.0)
    for field in sample.__struct_fields__:
        if field not in ("reason", "unknown"):
            assert (getattr(sample, field) is None) <= (field in sample.unknown), field
    (health,) = await source.health()
    assert health == GpuHealth(uuid=gpu.uuid, unknown=health.unknown)
    assert health.unknown["remap_failed"] == "not_supported"
    assert source.take_xids() == []
    await source.stop()


async def test_xavier_asleep_with_what_it_lacks(tmp_path: Path) -> None:
    write(tmp_path, XAVIER)
    source = TegraSource(root=tmp_path)
    inventory = await source.inventory()
    assert inventory.gpus[0].uuid == "TEGRA-0"
    assert inventory.gpus[0].compute_capability == "7.2"
    (sample,) = (await source.read()).samples
    assert sample.utilization_percent == 0.0
    assert (sample.temperature_celsius, sample.power_watts) == (None, None)
    assert sample.unknown["temperature_celsius"] == "not_ready"
    assert sample.unknown["power_watts"] == "not_supported"
    assert sample.unknown["fan_percent"] == "not_supported"
    await source.stop()


async def test_a_file_that_does_not_answer(tmp_path: Path) -> None:
    write(tmp_path, ORIN)
    source = TegraSource(root=tmp_path, limit_seconds=0.1)
    await source.inventory()
    load = tmp_path / "sys/class/devfreq/17000000.gpu/device/load"
    load.unlink()
    os.mkfifo(load)  # blocks who opens it
    for _ in range(3):
        (sample,) = (await source.read()).samples
        assert (sample.state, sample.utilization_percent) == ("hung", None)
        assert sample.unknown["utilization_percent"] == "hung"
    load.rename(tmp_path / "pipe")
    write(tmp_path, {"sys/class/devfreq/17000000.gpu/device/load": "10\n"})
    # Let the thread that is stuck in the pipe go: it reads an empty file, and is not missed.
    with (tmp_path / "pipe").open("w"):
        pass
    while (await source.read()).samples[0].state == "hung":
        pass
    assert (await source.read()).samples[0].utilization_percent == 1.0
    await source.stop()


async def test_no_jetson_and_a_jetson_without_its_gpu(tmp_path: Path) -> None:
    source = TegraSource(root=tmp_path)
    assert (await source.inventory()).stack.state == "no_gpu"
    assert (await source.read()).samples == ()
    write(tmp_path, {"etc/nv_tegra_release": RELEASE})
    stack = (await source.inventory()).stack
    assert (stack.state, stack.source) == ("no_gpu", "tegra")
    await source.stop()


def test_l4t_version_and_tegra(tmp_path: Path) -> None:
    assert not is_tegra(tmp_path)
    assert l4t_version(tmp_path) is None
    # In a container there is the device tree, but not the host's /etc.
    write(tmp_path, {"proc/device-tree/compatible": "x\0nvidia,tegra234\0"})
    assert is_tegra(tmp_path)
    assert l4t_version(tmp_path) is None


def test_power_mode(tmp_path: Path) -> None:
    assert power_mode(tmp_path) is None
    write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0002 fmode:fanNull\n"})
    assert power_mode(tmp_path) == "2"
    modes = "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=15W >\n"
    write(tmp_path, {"etc/nvpmodel.conf": modes})
    assert power_mode(tmp_path) == "2: 15W"


def test_which_reader(tmp_path: Path) -> None:
    assert isinstance(gpu_source(tmp_path), NvmlSource)
    write(tmp_path, ORIN)
    assert isinstance(gpu_source(tmp_path), TegraSource)
    pci = "sys/bus/pci/devices/0005:01:00.0"
    write(tmp_path, {f"{pci}/vendor": "0x10de\n", f"{pci}/class": "0x030000\n"})
    assert isinstance(gpu_source(tmp_path), NvmlSource)
    (tmp_path / pci / "vendor").write_text("0x144d\n")
    write(tmp_path, {"etc/nv_tegra_release": "# R38 (release), REVISION: 2.0, GCID: 1\n"})
    assert isinstance(gpu_source(tmp_path), NvmlSource)
