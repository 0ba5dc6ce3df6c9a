"""Writes scenario files for the stub, and reads its call counts.

The keys are those that stub.c asks for. Figures are in NVML's units (mW, mJ, MHz, bytes).
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

EVERY_GPU = "*"
SYSTEM = "sys"
ENVIRONMENT = "ROOST_NVML_STUB"

SUCCESS, NOT_SUPPORTED, GPU_IS_LOST, RESET_REQUIRED, UNKNOWN = 0, 3, 15, 16, 999
NOT_MIG = 0xFFFFFFFF
MEMORY_UNKNOWN = 0xFFFFFFFFFFFFFFFF
EVENT_XID = 8

MEBIBYTE = 1024 * 1024
_SLOT = struct.Struct("56sQ")

Subject = int | str  # a GPU's index, "INDEX/MIG", EVERY_GPU or SYSTEM


class Scenario:
    """What the stub answers. Nothing reaches the stub before `save`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, str] = {}
        self._events = 0

    def system(self, *, driver: str, nvml: str, cuda: int, count: int) -> None:
        """Versions as NVML gives them (`cuda` 12020 is 12.2), and how many GPUs there are."""
        self.set(SYSTEM, driver=driver, nvml=nvml, cuda=cuda, count=count)

    def set(self, subject: Subject, **fields: object) -> None:
        """Give fields their values; None takes one away, so that it is NOT_SUPPORTED.

        A double underscore stands for a dot: clock__1 is clock.1.
        """
        for name, value in fields.items():
            self.put(f"{subject}.{name.replace('__', '.')}", value)

    def put(self, key: str, value: object) -> None:
        """Set one line, or take it away with None."""
        if value is None:
            self.lines.pop(key, None)
        elif isinstance(value, tuple):
            self.lines[key] = " ".join(str(part) for part in value)
        else:
            self.lines[key] = str(int(value) if isinstance(value, bool) else value)

    def fail(self, call: str, code: int | None, subject: Subject = EVERY_GPU) -> None:
        """Let a call answer with an NVML error; None mends it. "any" stands for every call."""
        self.put(f"{subject}.error.{call}", code or None)

    def hang(self, call: str, subject: Subject = EVERY_GPU, seconds: int | None = 3600) -> None:
        """Let a call not come back for so long, or until the next `save`; None mends it."""
        self.put(f"{subject}.hang.{call}", seconds)

    def process(
        self,
        gpu: int,
        *,
        kind: str = "compute",
        number: int = 0,
        pid: int | None,
        memory: int = MEMORY_UNKNOWN,
        gpu_instance: int = NOT_MIG,
        compute_instance: int = NOT_MIG,
    ) -> None:
        """Put a process on a GPU as number 0, 1, 2...; pid None takes it away."""
        line = None if pid is None else (pid, memory, gpu_instance, compute_instance)
        self.put(f"{gpu}.{kind}.{number}", line)

    def xid(self, gpu: int, code: int) -> None:
        """Let the driver report an XID to whoever waits for events."""
        self._events += 1
        self.put(f"event.{self._events}", (gpu, EVENT_XID, code))

    def save(self) -> None:
        """Hand it to the stub: the next call sees it, and what hangs comes back."""
        text = "".join(f"{key}={value}\n" for key, value in self.lines.items())
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)

    def calls(self) -> Counter[tuple[str, str]]:
        """How often each (call, subject) was made since the stub was first used."""
        counted: Counter[tuple[str, str]] = Counter()
        file = Path(f"{self.path}.calls")
        if file.exists():
            for name, count in _SLOT.iter_unpack(file.read_bytes()):
                if count:
                    call, _, subject = name.partition(b"\0")[0].decode().partition(" ")
                    counted[call, subject] = count
        return counted


def uuid_of(index: int) -> str:
    """The UUID that the ready-made scenarios give to a GPU."""
    return f"GPU-{index:08x}-11be-7d8e-43c1-70bc1f5ddf32"


def h200(path: Path, count: int = 8) -> Scenario:
    """NVIDIA H200 as recorded with driver 580.159.04: idle, healthy, and full of errors.

    The six errors are NOT_SUPPORTED (every field that is not here), INVALID_ARGUMENT (MIG ids and
    fan calls), NOT_FOUND (MIG device 0), FUNCTION_NOT_FOUND (no such symbol in the stub:
    nvmlDeviceGetBBXTimeData_v1), NOT_READY and UNKNOWN.
    """
    s = Scenario(path)
    s.system(driver="580.159.04", nvml="13.580.159.04", cuda=13000, count=count)
    s.set(
        EVERY_GPU,
        name="NVIDIA H200",
        brand=14,
        architecture=9,
        compute_capability=(9, 0),
        memory=(150754820096, 0, 644939776),
        utilization=(0, 0),
        encoder=(0, 100000),
        decoder=(0, 100000),
        power_mw=127845,
        power_limit_mw=700000,
        energy_mj=2168296,
        clock__1=1980,
        clock__2=3201,
        clock_reasons=1,
        temperature__0=36,
        field__82=38,
        threshold__1=89,
        pstate=0,
        ecc_mode=(1, 1),
        ecc__0__0=0,
        ecc__0__1=0,
        ecc__1__0=0,
        ecc__1__1=0,
        remapped=(0, 0, 0, 0),
        mig_mode=(0, 0),
        mig_max=0,
        persistence=1,
        pcie_replay=0,
        pcie_generation=5,
        pcie_width=16,
        pcie_generation_now=5,
        pcie_width_now=16,
        fans=0,
        event_types=65439,
    )
    s.fail("nvmlDeviceGetFanSpeedRPM", 2)
    s.fail("nvmlDeviceGetMinMaxFanSpeed", 2)
    s.fail("nvmlDeviceGetLastBBXFlushTime", 27)
    s.fail("nvmlDeviceGetConfComputeGpuCertificate", 999)
    for index in range(count):
        pci = "00000000:00:06.0" if count == 1 else f"00000000:{index + 1:02X}:00.0"
        s.set(index, uuid=uuid_of(index), minor=index, pci=pci)
    return s


def t4(path: Path) -> Scenario:
    """A T4 as an old node has it; use it with the "470" variant. Turing: pages, not rows."""
    s = h200(path, count=1)
    s.system(driver="470.256.02", nvml="11.470.256.02", cuda=11040, count=1)
    s.set(
        0,
        name="Tesla T4",
        brand=2,
        architecture=6,
        compute_capability=(7, 5),
        memory=(15843721216, 1073741824, 0),
        power_mw=27300,
        power_limit_mw=70000,
        retired_pending=0,
        retired__0=(),
        retired__1=(),
        persistence=0,
        pcie_generation=3,
    )
    s.set(EVERY_GPU, remapped=None, mig_mode=None, field__82=None)
    return s


def geforce(path: Path) -> Scenario:
    """An RTX 4090: a fan, no ECC, no MIG, a process."""
    s = h200(path, count=1)
    s.system(driver="550.163.01", nvml="12.550.163.01", cuda=12040, count=1)
    s.set(
        0,
        name="NVIDIA GeForce RTX 4090",
        brand=5,
        architecture=8,
        compute_capability=(8, 9),
        memory=(25757220864, 2 * 1024 * MEBIBYTE, 300 * MEBIBYTE),
        utilization=(87, 41),
        power_mw=311500,
        power_limit_mw=450000,
        fan=54,
        clock_reasons=0x4,
        pstate=2,
        pcie_generation=4,
    )
    s.set(EVERY_GPU, ecc_mode=None, remapped=None, mig_mode=None, mig_max=None, field__82=None)
    for key in [key for key in s.lines if ".ecc." in key]:
        s.put(key, None)
    s.process(0, pid=4242, memory=1500 * MEBIBYTE)
    return s


def gb10(path: Path) -> Scenario:
    """A GB10: the GPU has no memory of its own, so both memory calls are NOT_SUPPORTED."""
    s = h200(path, count=1)
    s.system(driver="580.173.02", nvml="13.580.173.02", cuda=13000, count=1)
    s.set(0, name="NVIDIA GB10", architecture=10, compute_capability=(12, 1))
    s.set(EVERY_GPU, memory=None, mig_mode=None, remapped=None, field__82=None)
    s.process(0, pid=100, memory=700 * MEBIBYTE)
    s.process(0, pid=101, memory=300 * MEBIBYTE, number=1)
    return s


def a100_mig(path: Path) -> Scenario:
    """An A100 cut into slices, with gaps in the numbering: devices 0, 2 and 5 exist."""
    s = h200(path, count=1)
    s.set(
        0,
        name="NVIDIA A100-SXM4-40GB",
        architecture=7,
        compute_capability=(8, 0),
        memory=(42505273344, 5368709120, 600 * MEBIBYTE),
        mig_mode=(1, 1),
        mig_max=7,
    )
    s.set(EVERY_GPU, utilization=None, encoder=None, decoder=None)
    slices = {0: ("3g.20gb", 1, 20096), 2: ("2g.10gb", 3, 9856), 5: ("1g.5gb", 9, 4864)}
    for number, (profile, instance, mebibytes) in slices.items():
        s.set(
            f"0/{number}",
            uuid=f"MIG-{number:08x}-5a1c-5b0f-9a64-3f0c1c1f2b11",
            name=f"NVIDIA A100-SXM4-40GB MIG {profile}",
            gpu_instance=instance,
            compute_instance=0,
            memory=(mebibytes * MEBIBYTE, 0, 0),
            memory_mib=mebibytes,
        )
    s.process(0, pid=777, memory=3 * 1024 * MEBIBYTE, gpu_instance=3, compute_instance=0)
    return s
