"""Pins on real GPUs: what CUDA sees inside is what was asked for, and NVML says whose memory it is.

Not run by `make test`: `python -m pytest --gpus tests/gpus`, as root, where there are NVIDIA GPUs,
Docker 28 or newer, gcc and a static busybox.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.gpus.conftest import GpuSide
from tests.gpus.cuda_image import IMAGE, WITHOUT_SMI

pytestmark = [pytest.mark.real, pytest.mark.gpus, pytest.mark.timeout(120)]


def on(gpu: str, **more: Any) -> dict[str, Any]:
    """A service that is pinned to this GPU."""
    return {"x-roost": {"gpu": {"select": [gpu], "verify": "required", **more}}}


def test_the_agent_finds_what_cuda_finds(side: GpuSide) -> None:
    node = side.agent.get("/v1/node")
    assert [gpu["uuid"] for gpu in node["gpus"]] == side.gpus
    assert {f"nvidia.com/gpu={uuid}" for uuid in side.gpus} <= set(node["toolkit"]["cdi_devices"])
    said = side.engine.docker("run", "--rm", "--device=nvidia.com/gpu=all", IMAGE, "holds")
    assert [line.rpartition(" ")[2] for line in said.splitlines()] == side.gpus


@pytest.mark.parametrize("which", [0, -1])
def test_a_service_sees_its_gpu_alone(side: GpuSide, which: int) -> None:
    wanted = side.gpus[which]
    done = side.apply(web=on(wanted))
    assert done.code == 0, done
    assert f"{wanted}, nvidia-smi inside it lists" in done.out
    assert side.seen("web") == [wanted]


def test_its_own_probe_asks_cuda(side: GpuSide) -> None:
    """Where there is no nvidia-smi inside."""
    service = on(side.gpus[0])
    service["image"] = WITHOUT_SMI
    service["x-roost"]["probes"] = [{"gpu": {"command": ["holds"], "timeout": "20s"}}]
    done = side.apply(web=service)
    assert done.code == 0, done
    assert "its own probe sees" in done.out


def test_memory_is_told_by_container(side: GpuSide) -> None:
    assert side.apply(web={**on(side.gpus[0]), "command": ["holds", "1024"]}).code == 0
    container = side.identity("web")
    deadline = time.monotonic() + 30
    while True:
        held = [
            each
            for each in side.agent.get("/v1/gpus")["processes"]
            if each["container"] == container
        ]
        if held or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    [process] = held
    assert process["gpu_uuid"] == side.gpus[0]
    assert process["memory_used_bytes"] >= 1024 * 2**20


def test_more_than_its_ceiling_is_a_finding(side: GpuSide) -> None:
    service = {**on(side.gpus[0], memory="1g"), "command": ["holds", "2048"]}
    assert side.apply(web=service).code == 0
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60
    while not found and time.monotonic() < deadline:
        found = [
            each
            for check in side.agent.get("/v1/doctor")["checks"]
            for each in check["findings"]
            if each["code"] == "workload.gpu_memory_exceeded"
        ]
        time.sleep(0.5)
    [finding] = found
    assert finding["subject"] == "workload/web"


def test_a_pin_of_a_container_by_hand_and_back(two_gpus: GpuSide) -> None:
    side = two_gpus
    first, second = side.gpus[:2]
    side.engine.docker(
        "run", "--detach", "--name=web", "--network=none", f"--device=nvidia.com/gpu={first}",
        IMAGE, "holds", "256",
    )  # fmt: skip
    before = side.identity("web")
    assert side.seen("web") == [first]
    done = side.roost("container", "pin", "dock", "web", "--gpu", "1")
    assert done.code == 0, done
    assert side.seen("web") == [second]
    undone = side.roost("workload", "undo", "dock", "web")
    assert undone.code == 0, undone
    assert side.identity("web") == before
    assert side.seen("web") == [first]


def test_the_gpu_with_most_free_memory_is_taken(two_gpus: GpuSide) -> None:
    side = two_gpus
    side.engine.docker(
        "run", "--detach", "--name=other", "--network=none", "--device=nvidia.com/gpu=0",
        IMAGE, "holds", "20000",
    )  # fmt: skip
    while "holds 20000" not in side.engine.docker("logs", "other"):
        time.sleep(0.1)
    web = {"x-roost": {"gpu": {"select": "least-memory"}}}
    deadline = time.monotonic() + 30
    while not any(each["container"] for each in side.agent.get("/v1/gpus")["processes"]):
        assert time.monotonic() < deadline, "NVML does not tell of it"
        time.sleep(0.2)
    assert side.apply(web=web).code == 0
    assert side.seen("web") == [side.gpus[1]]


def test_a_new_version_beside_the_old_on_one_gpu(side: GpuSide) -> None:
    """Both fit: the new one is up before the old one goes; a bad one never takes its place."""
    gpu = on(side.gpus[0])
    gpu["x-roost"]["strategy"] = "start-then-stop"
    assert side.apply(web={**gpu, "environment": {"VERSION": "1"}}).code == 0
    first = side.identity("web")
    assert side.apply(web={**gpu, "environment": {"VERSION": "2"}}).code == 0
    second = side.identity("web")
    assert second != first
    too_much = {**gpu, "command": ["holds", "999999"]}
    failed = side.apply(web=too_much)
    assert failed.code == 1
    assert "cuMemAlloc_v2: error 2" in failed.out + failed.err
    assert side.identity("web") == second
    assert side.seen("web") == [side.gpus[0]]
