"""How a recipe says which GPUs a container gets, way by way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from agent.protocol.deployments import GpuWay
from agent.protocol.gpus import Gpu, MigInstance
from agent.protocol.node import NodeFacts, ToolkitFacts
from agent.protocol.problems import ProblemError
from agent.workloads.gpu_ways import asks_gpus, cdi_names, way_of, with_gpus, without_gpus
from agent.workloads.recipe import Recipe
from tests.agent.rules.nodes_made import DOCKER, HOOK, jetson, node
from tests.agent.rules.test_ways import BARE, PODMAN

CUDA = Recipe(image="sha256:1", body={"Env": ["NVIDIA_VISIBLE_DEVICES=all", "MODEL=yolo"]})
ORIN = Gpu(uuid="TEGRA-142", index=0, name="Orin")
SLICED = Gpu(
    uuid="GPU-b", index=1, name="A100", mig_instances=[MigInstance(uuid="MIG-b0", index=0)]
)


def podman(tegra: bool, *devices: str) -> NodeFacts:
    toolkit = ToolkitFacts(cdi_devices=[f"nvidia.com/gpu={name}" for name in devices])
    facts = jetson("36.4.0", ORIN) if tegra else node("535.183.01", SLICED)
    return msgspec.structs.replace(facts, runtime=PODMAN, toolkit=toolkit)


@pytest.mark.parametrize(
    ("facts", "gpu", "name"),
    [
        (podman(True, "all"), "TEGRA-142", "all"),
        (podman(True, "0", "all"), "TEGRA-142", "0"),
        (podman(False, "0", "1", "all"), "GPU-b", "1"),
        (podman(False, "GPU-b", "1"), "GPU-b", "GPU-b"),
        (podman(False, "1:0"), "MIG-b0", "1:0"),
    ],
)
def test_the_name_of_a_cdi_device(facts: NodeFacts, gpu: str, name: str) -> None:
    assert cdi_names(facts, [gpu]) == {gpu: f"nvidia.com/gpu={name}"}


@pytest.mark.parametrize("gpu", ["GPU-b", "MIG-b0"])
def test_all_is_no_name_of_one_of_several(gpu: str) -> None:
    with pytest.raises(ProblemError) as caught:
        cdi_names(podman(False, "0", "all"), [gpu])
    assert caught.value.code == "gpu.no_cdi_device"


@pytest.mark.parametrize(
    ("way", "gpus", "tegra", "host", "visible"),
    [
        (
            "cdi",
            ["GPU-b"],
            False,
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=1"]}]},
            "void",
        ),
        (
            "device_request",
            ["GPU-b", "GPU-c"],
            False,
            {
                "DeviceRequests": [
                    {"Driver": "", "DeviceIDs": ["GPU-b", "GPU-c"], "Capabilities": [["gpu"]]}
                ]
            },
            None,
        ),
        ("runtime", ["GPU-b", "GPU-c"], False, {"Runtime": "nvidia"}, "GPU-b,GPU-c"),
        ("runtime", ["TEGRA-142"], True, {"Runtime": "nvidia"}, "all"),
        ("none", [], False, {}, None),
    ],
)
def test_what_is_asked_for(
    way: GpuWay, gpus: Sequence[str], tegra: bool, host: dict[str, Any], visible: str | None
) -> None:
    names = {"GPU-b": "nvidia.com/gpu=1"}
    made = with_gpus(CUDA, gpus, way, cdi_names=names, tegra=tegra)
    assert made.body["HostConfig"] == host
    said = [] if visible is None else [f"NVIDIA_VISIBLE_DEVICES={visible}"]
    assert made.body["Env"] == ["MODEL=yolo", *said]
    assert asks_gpus(made) is (way != "none")
    assert without_gpus(made).body == without_gpus(CUDA).body


def test_a_jetson_takes_its_runtime() -> None:
    both = msgspec.structs.replace(DOCKER, cdi_devices=["nvidia.com/gpu=all"])
    facts = msgspec.structs.replace(jetson("36.4.0", ORIN, runtime=both), toolkit=HOOK)
    assert way_of(facts) == "runtime"
    with pytest.raises(ProblemError, match="no runtime named nvidia") as caught:
        way_of(msgspec.structs.replace(facts, runtime=BARE))
    assert caught.value.code == "gpu.no_way"
