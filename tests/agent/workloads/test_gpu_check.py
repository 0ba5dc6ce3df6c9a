"""What a look at device nodes and at process 1 tells of the GPUs that a container was given."""

from __future__ import annotations

import pytest

from agent.doctor.inside import InsideLook
from agent.protocol.gpus import Gpu, MigInstance
from agent.workloads.gpu_check import GpuCheck, by_nodes
from tests.agent.doctor.patients import DETECTOR, container
from tests.agent.doubles import FixedRuntime

GPUS = [
    Gpu(uuid="GPU-a", index=0, minor=1, name="A10"),
    Gpu(
        uuid="GPU-b",
        index=1,
        minor=0,
        name="A100",
        mig_instances=[MigInstance(uuid="MIG-b0", index=0)],
    ),
]
NO_MINORS = [Gpu(uuid="GPU-a", index=0, name="A10")]
ORIN = [Gpu(uuid="TEGRA-142", index=0, name="Orin")]


def nodes(*minors: int, environment: str | None = None, **more: object) -> InsideLook:
    said = {"sees": bool(minors), **more}
    return InsideLook(
        way="device_nodes",
        minors=minors,
        environment=environment,
        **said,  # type: ignore[arg-type]
    )


BLIND = InsideLook(way="none", sees=None, reason="the runtime names no process of it")


@pytest.mark.parametrize(
    ("wanted", "look", "gpus", "verdict", "words"),
    [
        (["GPU-a"], nodes(1), GPUS, "right", "it has /dev/nvidia1, of the GPUs it was given"),
        (["GPU-a", "GPU-b"], nodes(0, 1), GPUS, "right", "/dev/nvidia0, /dev/nvidia1"),
        (["MIG-b0"], nodes(0), GPUS, "right", "/dev/nvidia0"),
        (["GPU-a"], nodes(1, environment="void"), GPUS, "right", "/dev/nvidia1"),
        (["GPU-a"], nodes(1, environment="all"), GPUS, "right", "/dev/nvidia1"),
        (["GPU-a"], nodes(1, environment="GPU-a"), GPUS, "right", "/dev/nvidia1"),
        # another one, one more, one less, one that the node does not know, none
        (["GPU-a"], nodes(0), GPUS, "wrong", "it has device nodes of GPU-b"),
        (["GPU-a"], nodes(0, 1), GPUS, "wrong", "it has device nodes of GPU-a, GPU-b"),
        (["GPU-a", "GPU-b"], nodes(1), GPUS, "wrong", "it has device nodes of GPU-a"),
        (["GPU-a"], nodes(7), GPUS, "wrong", "it has device nodes of /dev/nvidia7"),
        (["GPU-a"], nodes(), GPUS, "wrong", "it has no device node of a GPU"),
        # what its process 1 was given outweighs nodes
        (["GPU-a"], nodes(1, environment="GPU-b"), GPUS, "wrong", "its process 1 was given GPU-b"),
        (["GPU-a"], nodes(environment="GPU-a,GPU-b"), GPUS, "wrong", "given GPU-a,GPU-b"),
        # nothing tells
        (["GPU-a"], None, GPUS, "unknown", "the container does not run"),
        (["GPU-a"], BLIND, GPUS, "unknown", "the runtime names no process of it"),
        (["GPU-a"], nodes(), NO_MINORS, "unknown", "nothing inside it tells"),
        # a Jetson's own GPU
        (["TEGRA-142"], nodes(sees=True, tegra=True), ORIN, "right", "sees the machine's own GPU"),
        (["TEGRA-142"], nodes(sees=False), ORIN, "wrong", "by its device nodes it sees no GPU"),
        (["TEGRA-142"], BLIND, ORIN, "unknown", "the runtime names no process of it"),
        (
            ["TEGRA-142"],
            nodes(sees=True, tegra=True, environment="all"),
            ORIN,
            "right",
            "sees the machine's own GPU",
        ),
        (
            ["TEGRA-142"],
            nodes(sees=None, tegra=True, reason="nvidia-smi hung in this container before"),
            ORIN,
            "unknown",
            "nvidia-smi hung",
        ),
    ],
)
def test_by_device_nodes(
    wanted: list[str], look: InsideLook | None, gpus: list[Gpu], verdict: str, words: str
) -> None:
    seen = by_nodes(look, wanted, gpus)
    assert seen.verdict == verdict
    assert seen.how == ("could_not_tell" if verdict == "unknown" else "namespaces")
    assert words in seen.what


class Looks:
    """A looker that saw this."""

    def __init__(self, seen: InsideLook) -> None:
        self._seen = seen

    async def look(self, containers: object) -> dict[str, InsideLook]:
        return {DETECTOR: self._seen}


@pytest.mark.parametrize(
    ("uuids", "verdict", "what"),
    [
        (
            ("a9485f58-0a6e-5a97-b73d-87cdf435c65e",),
            "right",
            "nvidia-smi inside it sees the machine's own GPU",
        ),
        ((), "wrong", "nvidia-smi inside it sees no GPU"),
    ],
)
async def test_nvidia_smi_on_a_jetson(uuids: tuple[str, ...], verdict: str, what: str) -> None:
    look = InsideLook(way="exec", sees=bool(uuids), uuids=uuids)
    check = GpuCheck(FixedRuntime(), Looks(look))  # type: ignore[arg-type]
    seen = await check.look(container(), ["TEGRA-142"], ORIN, None)
    assert (seen.verdict, seen.how, seen.what) == (verdict, "nvidia-smi", what)
