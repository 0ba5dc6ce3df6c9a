"""Which GPUs a container asked for, for each way to ask."""

from __future__ import annotations

from typing import Any

import pytest

from agent.containers.gpu_asks import GpuAsk, gpu_ask

UUID = "GPU-11111111-2222-3333-4444-555555555555"
MIG = "MIG-11111111-2222-3333-4444-555555555555"
NONE = GpuAsk([], "none")


def request(**more: Any) -> dict[str, Any]:
    return {"DeviceRequests": [{"Driver": "", "Count": 0, "Capabilities": [["gpu"]]} | more]}


@pytest.mark.parametrize(
    ("host", "ask"),
    [
        ({}, NONE),
        (request(DeviceIDs=[UUID, MIG]), GpuAsk([UUID, MIG], "device_request")),
        (request(Count=-1), GpuAsk(["all"], "device_request")),
        (request(Count=2), GpuAsk(["0", "1"], "device_request")),
        (request(Driver="nvidia", Capabilities=None, Count=1), GpuAsk(["0"], "device_request")),
        (request(Driver="nvidia.cdi", DeviceIDs=[UUID]), GpuAsk([UUID], "device_request")),
        (request(Driver="tpu", Capabilities=[["tpu"]], Count=-1), NONE),
        (
            request(Driver="cdi", DeviceIDs=["nvidia.com/gpu=0", f"nvidia.com/gpu={UUID}"]),
            GpuAsk(["0", UUID], "cdi"),
        ),
        (request(Driver="cdi", DeviceIDs=["nvidia.com/gpu=all"]), GpuAsk(["all"], "cdi")),
        (request(Driver="cdi", DeviceIDs=["amd.com/gpu=0"]), GpuAsk(["amd.com/gpu=0"], "cdi")),
        (request(Driver="cdi", DeviceIDs=["vendor.com/net=eth0"]), NONE),
        (
            {"Devices": [{"PathOnHost": "/dev/nvidia1"}, {"PathOnHost": "/dev/nvidiactl"}]},
            GpuAsk(["1"], "devices"),
        ),
        ({"Devices": [{"PathOnHost": "/dev/nvidia-uvm"}, {"PathOnHost": "/dev/kvm"}]}, NONE),
        ({"Devices": [{"PathOnHost": "nvidia.com/gpu=1"}]}, GpuAsk(["1"], "cdi")),
    ],
)
def test_what_the_host_configuration_asks_for(host: dict[str, Any], ask: GpuAsk) -> None:
    assert gpu_ask(host, []) == ask


@pytest.mark.parametrize(
    ("environment", "ask"),
    [
        (["NVIDIA_VISIBLE_DEVICES=all"], GpuAsk(["all"], "runtime")),
        ([f"NVIDIA_VISIBLE_DEVICES={UUID},1"], GpuAsk([UUID, "1"], "runtime")),
        (["NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0"], GpuAsk(["0"], "runtime")),
        (["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_VISIBLE_DEVICES=0"], GpuAsk(["0"], "runtime")),
        (["NVIDIA_VISIBLE_DEVICES=void"], NONE),
        (["NVIDIA_VISIBLE_DEVICES=none"], NONE),
        (["NVIDIA_VISIBLE_DEVICES="], NONE),
        (["PATH=/bin"], NONE),
    ],
)
def test_the_variable_counts_with_the_nvidia_runtime_only(
    environment: list[str], ask: GpuAsk
) -> None:
    assert gpu_ask({"Runtime": "nvidia"}, environment) == ask
    assert gpu_ask({"Runtime": "runc"}, environment) == NONE


def test_a_device_request_wins_over_the_runtime() -> None:
    host = request(DeviceIDs=[UUID]) | {"Runtime": "nvidia"}
    assert gpu_ask(host, ["NVIDIA_VISIBLE_DEVICES=all"]) == GpuAsk([UUID], "device_request")
