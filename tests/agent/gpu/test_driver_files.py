"""What files say about the driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.gpu import driver_files
from agent.gpu.nvml_calls import text


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May 2", "470.256.02"),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build",
            "580.159.04",
        ),
        ("NVRM version: NVIDIA UNIX aarch64 Kernel Module  390.87  Tue Aug 21", "390.87"),
        ("NVRM version: something else", None),
        ("", None),
    ],
)
def test_module_version(tmp_path: Path, line: str, version: str | None) -> None:
    place = tmp_path / "driver/nvidia"
    place.mkdir(parents=True)
    (place / "version").write_text(f"{line}\nGCC version:  gcc version 12.3.0 (Ubuntu)\n")
    assert driver_files.loaded_module_version(tmp_path) == version


def test_no_module(tmp_path: Path) -> None:
    assert driver_files.loaded_module_version(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.183.01", "535.183.01"),
        ("/usr/lib/libnvidia-ml.so.390.87 (deleted)", "390.87"),
        ("/usr/lib/wsl/lib/libnvidia-ml.so.1", None),
        ("/usr/lib/libcuda.so.535.183.01", None),
    ],
)
def test_library_version(name: str, version: str | None) -> None:
    assert driver_files.version_in_name(name) == version


def test_gpus_on_pci(tmp_path: Path) -> None:
    assert driver_files.gpus_on_pci(tmp_path) is None
    devices = tmp_path / "bus/pci/devices"
    for name, vendor, kind in (
        ("a", "0x10de", "0x030000"),
        ("b", "0x10de", "0x030200"),
        ("audio", "0x10de", "0x040300"),
        ("other", "0x8086", "0x030000"),
    ):
        (devices / name).mkdir(parents=True)
        (devices / name / "vendor").write_text(f"{vendor}\n")
        (devices / name / "class").write_text(f"{kind}\n")
    (devices / "odd").mkdir()
    assert driver_files.gpus_on_pci(tmp_path) == 2


def test_meminfo(tmp_path: Path) -> None:
    assert driver_files.meminfo(tmp_path) == {}
    (tmp_path / "meminfo").write_text("MemTotal:  2048 kB\nHugePages_Total: 3\n\nodd line\n")
    assert driver_files.meminfo(tmp_path) == {"MemTotal": 2048 * 1024, "HugePages_Total": 3}
    assert driver_files.memory_total_bytes(tmp_path) == 2048 * 1024


def test_text_of_either_kind() -> None:
    assert text("NVIDIA T4") == text(b"NVIDIA T4") == "NVIDIA T4"
    assert text(b"\xff") == "�"
