"""What the system's files say about the NVIDIA driver, without asking the driver."""

from __future__ import annotations

import re
from pathlib import Path

NVIDIA_VENDOR = "0x10de"
# PCI classes: VGA controller and 3D controller. NVIDIA's audio and USB functions are others.
GPU_CLASSES = ("0x0300", "0x0302")

_MODULE = re.compile(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)*)\s")
_LIBRARY = re.compile(r"libnvidia-ml\.so\.(\d+\.\d+(?:\.\d+)*)")


def loaded_module_version(proc: Path) -> str | None:
    """Version of the kernel module that is loaded: "535.183.01"; None without one."""
    try:
        text = (proc / "driver/nvidia/version").read_text(errors="replace")
    except OSError:
        return None
    found = _MODULE.search(text)
    return found[1] if found else None


def version_in_name(library: str) -> str | None:
    """The driver version that a library file is named after; None for a bare soname."""
    found = _LIBRARY.search(library)
    return found[1] if found else None


def mapped_file(proc: Path, address: int) -> str | None:
    """The file that is mapped at an address of this process."""
    try:
        maps = (proc / "self/maps").read_text(errors="replace")
    except OSError:
        return None
    for line in maps.splitlines():
        parts = line.split(maxsplit=5)
        start, _, end = parts[0].partition("-")
        if len(parts) == 6 and int(start, 16) <= address < int(end, 16):
            return parts[5]
    return None


def gpus_on_pci(sys: Path) -> int | None:
    """How many NVIDIA GPUs are on the PCI bus; None where that cannot be seen."""
    try:
        devices = list((sys / "bus/pci/devices").iterdir())
    except OSError:
        return None
    return sum(_is_gpu(device) for device in devices)


def _is_gpu(device: Path) -> bool:
    try:
        vendor = (device / "vendor").read_text().strip()
        return vendor == NVIDIA_VENDOR and (device / "class").read_text().startswith(GPU_CLASSES)
    except OSError:
        return False


def memory_total_bytes(proc: Path) -> int | None:
    """MemTotal of /proc/meminfo."""
    return meminfo(proc).get("MemTotal")


def meminfo(proc: Path) -> dict[str, int]:
    """/proc/meminfo in bytes; empty where it cannot be read."""
    try:
        text = (proc / "meminfo").read_text()
    except OSError:
        return {}
    amounts: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            amounts[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return amounts
