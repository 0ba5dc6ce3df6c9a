"""What the agent tells of real GPUs beside what nvidia-smi tells, and an error that one reports."""

from __future__ import annotations

import time

import pytest

from tests.gpus.conftest import GpuSide
from tests.gpus.cuda_image import IMAGE
from tests.real.commands import run

pytestmark = [pytest.mark.real, pytest.mark.gpus, pytest.mark.timeout(120)]

MIB = 2**20


def smi(*fields: str) -> list[list[str]]:
    """What nvidia-smi says of these, for each GPU."""
    said = run("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")
    return [[word.strip() for word in line.split(",")] for line in said.stdout.splitlines()]


def test_what_gpus_are(side: GpuSide) -> None:
    node = side.agent.get("/v1/node")
    told = [
        [
            gpu["name"],
            gpu["uuid"],
            gpu["pci_bus_id"],
            gpu["compute_capability"],
            str(gpu["memory_total_bytes"] // MIB),
            {True: "Enabled", False: "Disabled"}.get(gpu["persistence"], "[N/A]"),
            node["gpu_stack"]["driver_version"],
        ]
        for gpu in node["gpus"]
    ]
    assert told == smi(
        "name", "uuid", "pci.bus_id", "compute_cap", "memory.total", "persistence_mode",
        "driver_version",
    )  # fmt: skip


def test_what_gpus_do(side: GpuSide) -> None:
    """While a container holds memory: the figures that stand still meanwhile are the same."""
    side.engine.docker(
        "run", "--detach", "--network=none", "--device=nvidia.com/gpu=0", IMAGE, "holds", "3000"
    )
    deadline = time.monotonic() + 30
    while True:
        [sample, *_] = side.agent.get("/v1/gpus")["samples"]
        [[used, limit], *_] = smi("memory.used", "clocks.mem")
        ours = [round(sample["memory_used_bytes"] / MIB), sample["memory_clock_mhz"]]
        if ours[0] > 3000 and abs(ours[0] - int(used)) <= 1 and ours[1] == int(limit):
            break
        assert time.monotonic() < deadline, (ours, used, limit)
        time.sleep(0.2)
    assert 10 < sample["power_watts"] < 1000
    assert 5 < sample["temperature_celsius"] < 100


def test_an_error_of_an_application_is_told(side: GpuSide) -> None:
    """NVML's events carry it, and the doctor says what it means."""
    ended = side.engine.docker(
        "run", "--network=none", "--device=nvidia.com/gpu=0", IMAGE,
        "sh", "-c", "holds 1 wild; exit 0",
    )  # fmt: skip
    assert "cuCtxSynchronize: error" in ended
    deadline = time.monotonic() + 30
    while not (xids := side.agent.get("/v1/gpus")["xids"]):
        assert time.monotonic() < deadline, ended
        time.sleep(0.2)
    assert {each["gpu_uuid"] for each in xids} == {side.gpus[0]}
    codes = {f"gpu.xid.{each['code']}" for each in xids}
    assert codes <= {"gpu.xid.13", "gpu.xid.31", "gpu.xid.43", "gpu.xid.45"}, xids
    found = {
        finding["code"]
        for check in side.agent.get("/v1/doctor")["checks"]
        for finding in check["findings"]
    }
    assert codes & found
