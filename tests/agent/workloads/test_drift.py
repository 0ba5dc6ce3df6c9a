"""What differs between a workload's record and its container, case by case."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.protocol.gpus import Gpu, MigInstance
from agent.workloads.drift import Wanted, drift
from agent.workloads.recipe import Recipe

A, B = "GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-0000"
GPUS = [
    Gpu(uuid=A, index=0, minor=1, name="NVIDIA A10"),
    Gpu(
        uuid=B,
        index=1,
        minor=0,
        name="NVIDIA A100",
        mig_instances=[MigInstance(uuid="MIG-b0", index=0), MigInstance(uuid="MIG-b1", index=1)],
    ),
]
ONE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
IMAGE_ENV = ["PATH=/bin", "NVIDIA_VISIBLE_DEVICES=all"]
RECIPE = Recipe(
    image=ONE,
    reference="detector:1",
    body={"Env": ["MODEL=yolo", "CAMERA=rtsp://secret@10.0.0.1"], "HostConfig": {}},
    restart={"Name": "always", "MaximumRetryCount": 0},
)
WANTED = Wanted(name="detector", stable="c" * 64, recipe=RECIPE, gpus=[A])
AS_WRITTEN = {
    "Id": "c" * 64,
    "Name": "/detector",
    "Image": ONE,
    "State": {"Status": "running", "ExitCode": 0},
    "Config": {
        "Image": "detector:1",
        "Env": ["MODEL=yolo", "CAMERA=rtsp://secret@10.0.0.1", *IMAGE_ENV],
    },
    "HostConfig": {
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "DeviceRequests": [{"Driver": "", "DeviceIDs": [A], "Capabilities": [["gpu"]]}],
    },
}


def answer(**parts: Any) -> dict[str, Any]:
    """What inspect says; of State, Config and HostConfig only some differs."""
    found: dict[str, Any] = dict(AS_WRITTEN)
    for name, part in parts.items():
        found[name] = {**found[name], **part} if isinstance(part, dict) else part
    return found


def request(*ids: str, driver: str = "") -> dict[str, Any]:
    capabilities = [] if driver == "cdi" else [["gpu"]]
    return {
        "DeviceRequests": [{"Driver": driver, "DeviceIDs": list(ids), "Capabilities": capabilities}]
    }


def env(*more: str, without: str = "none") -> dict[str, Any]:
    entries = AS_WRITTEN["Config"]["Env"]  # type: ignore[index]
    return {"Env": [*(each for each in entries if not each.startswith(without)), *more]}


CASES = [
    ({}, []),
    # the same GPU by another word
    ({"HostConfig": request("0")}, []),
    ({"HostConfig": request("nvidia.com/gpu=0", driver="cdi")}, []),
    ({"HostConfig": request(f"nvidia.com/gpu={A}", driver="cdi")}, []),
    (
        {
            "HostConfig": {"DeviceRequests": None, "Runtime": "nvidia"},
            "Config": env(f"NVIDIA_VISIBLE_DEVICES={A}"),
        },
        [],
    ),
    ({"HostConfig": {"DeviceRequests": [], "Devices": [{"PathOnHost": "/dev/nvidia1"}]}}, []),
    # another one, more, none, one that is not there any more
    ({"HostConfig": request(B)}, [f"GPUs: GPU 1 ({B}) instead of GPU 0 ({A})"]),
    ({"HostConfig": request("1")}, [f"GPUs: GPU 1 ({B}) instead of GPU 0 ({A})"]),
    ({"HostConfig": request("all")}, [f"GPUs: GPU 0 ({A}), GPU 1 ({B}) instead of GPU 0 ({A})"]),
    ({"HostConfig": request("1:1")}, [f"GPUs: MIG-b1 instead of GPU 0 ({A})"]),
    ({"HostConfig": request("GPU-gone")}, [f"GPUs: GPU-gone instead of GPU 0 ({A})"]),
    ({"HostConfig": {"DeviceRequests": None}}, [f"GPUs: none instead of GPU 0 ({A})"]),
    (
        {"HostConfig": {"DeviceRequests": [], "Devices": [{"PathOnHost": "/dev/nvidia0"}]}},
        [f"GPUs: GPU 1 ({B}) instead of GPU 0 ({A})"],
    ),
    # states
    (
        {"State": {"Status": "exited", "ExitCode": 137}},
        ["it does not run: it ended with exit code 137"],
    ),
    (
        {"State": {"Status": "exited", "ExitCode": 0}},
        ["it does not run: it ended with exit code 0"],
    ),
    ({"State": {"Status": "created"}}, ["it does not run: it was never started"]),
    ({"State": {"Status": "paused"}}, ["it does not run: it is paused"]),
    ({"State": {"Status": "dead"}}, ["it does not run: it is dead"]),
    (
        {"State": {"Status": "restarting", "ExitCode": 2}},
        ["it ends again and again, last with exit code 2"],
    ),
    # the image, by what it is and not by what it is called
    (
        {"Image": OTHER},
        ["image: detector:1 (222222222222) instead of detector:1 (111111111111)"],
    ),
    (
        {"Image": OTHER, "Config": {"Image": OTHER}},
        ["image: 222222222222 instead of detector:1 (111111111111)"],
    ),
    ({"Image": "1" * 64, "Config": {"Image": "other:name"}}, []),  # as Podman writes it
    # the environment, never its values
    ({"Config": env("DEBUG=1")}, ["environment: DEBUG was added"]),
    ({"Config": env(without="MODEL")}, ["environment: MODEL is not there"]),
    ({"Config": env("CAMERA=rtsp://x")}, ["environment: CAMERA has another value"]),
    ({"Config": env("PATH=/mine")}, ["environment: PATH was added"]),
    ({"Config": env("container=podman", "HOSTNAME=c")}, []),
    ({"Config": env("NVIDIA_DRIVER_CAPABILITIES=utility")}, []),
    # restart policies
    (
        {"HostConfig": {"RestartPolicy": {"Name": "no"}}},
        ["restart policy: no instead of always"],
    ),
    ({"HostConfig": {"RestartPolicy": {"Name": ""}}}, ["restart policy: no instead of always"]),
    (
        {"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}},
        ["restart policy: on-failure:3 instead of always"],
    ),
    # names
    ({"Name": "/mine"}, ["its container was renamed: mine"]),
    (
        {"Id": "d" * 64, "HostConfig": request(B)},
        [
            "its container is gone, and another one that Roost did not make has its name",
            f"GPUs: GPU 1 ({B}) instead of GPU 0 ({A})",
        ],
    ),
]


@pytest.mark.parametrize(("parts", "told"), CASES)
def test_differences(parts: dict[str, Any], told: list[str]) -> None:
    found = drift(WANTED, answer(**parts), IMAGE_ENV, GPUS)
    assert found == told
    assert "secret" not in " ".join(found)


def test_nothing_is_there() -> None:
    assert drift(WANTED, None, [], GPUS) == ["its container is gone"]


@pytest.mark.parametrize(
    ("code", "told"), [(0, []), (1, ["it does not run: it ended with exit code 1"])]
)
def test_one_that_others_wait_for_may_end(code: int, told: list[str]) -> None:
    wanted = msgspec.structs.replace(WANTED, may_end=True)
    ended = answer(State={"Status": "exited", "ExitCode": code})
    assert drift(wanted, ended, IMAGE_ENV, GPUS) == told


def test_gpus_that_the_file_itself_asks_for() -> None:
    """Without a request there is nothing that Roost chose: its runtime and environment count."""
    body = {
        "Env": ["NVIDIA_VISIBLE_DEVICES=all"],
        "HostConfig": {"Runtime": "nvidia"},
    }
    recipe = Recipe(image=ONE, reference="detector:1", body=body, restart=RECIPE.restart)
    wanted = Wanted(name="detector", stable="c" * 64, recipe=recipe)
    runs = answer(
        Config={"Env": ["NVIDIA_VISIBLE_DEVICES=all", "PATH=/bin"]},
        HostConfig={"DeviceRequests": None, "Runtime": "nvidia"},
    )
    assert drift(wanted, runs, IMAGE_ENV, GPUS) == []
    other = answer(Config={"Env": ["PATH=/bin"]}, HostConfig={"DeviceRequests": None})
    assert drift(wanted, other, IMAGE_ENV, GPUS) == [
        f"GPUs: none instead of GPU 0 ({A}), GPU 1 ({B})"
    ]
