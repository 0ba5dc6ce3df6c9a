"""What an arm does on its GPUs, from samples that are made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agent.gpu.source import Inventory
from agent.measuring.arm_watch import ArmOf, ArmWatch
from agent.measuring.gpu_watch import Moment
from agent.measuring.measurers import Reader
from agent.measuring.requests import Requests
from agent.protocol.arms import Arm, ArmGpu
from agent.protocol.containers import Container
from agent.protocol.gpus import Gpu, GpuProcess, GpuSample, GpuStack, MigInstance, XidEvent
from agent.protocol.measures import Measure
from agent.protocol.telemetry import HostSample, Telemetry

SLICE = MigInstance(uuid="MIG-a", index=0, profile="1g.10gb")
GPUS = (
    Gpu(uuid="GPU-a", index=0, name="A10", pci_bus_id="00000000:01:00.0"),
    Gpu(uuid="GPU-b", index=1, name="A100", mig=True, mig_instances=[SLICE]),
)
STABLE = ArmOf("stable", "s", ["GPU-a"])
CANDIDATE = ArmOf("candidate", "c", ["GPU-a"])


def no_reader(measure: Measure) -> Reader:
    raise AssertionError(measure)


def watched(arm: ArmOf = CANDIDATE, other: ArmOf = STABLE) -> ArmWatch:
    return ArmWatch(arm, other, measures=[], reader=no_reader, replays=False)


def container(one: str, **more: Any) -> Container:
    return Container(
        **{
            "id": one,
            "name": one,
            "image": "i",
            "image_id": "sha256:1",
            "state": "running",
            "created_at": 1.0,
            "started_at": 1.0,
            **more,
        }
    )


BOTH = {"s": container("s"), "c": container("c")}


def process(holder: str | None, used: int | None = 100, pid: int = 7, **more: Any) -> GpuProcess:
    return GpuProcess(
        **{
            "gpu_uuid": "GPU-a",
            "pid": pid,
            "container": holder,
            "memory_used_bytes": used,
            **more,
        }
    )


def moment(
    *processes: GpuProcess,
    at: float = 1.0,
    samples: Sequence[GpuSample] = (
        GpuSample(uuid="GPU-a", utilization_percent=50.0, temperature_celsius=60.0),
        GpuSample(uuid="GPU-b", temperature_celsius=70.0, unknown={"utilization_percent": "mig"}),
    ),
    containers: dict[str, Container] = BOTH,
    xids: Sequence[XidEvent] = (),
    stack: GpuStack = GpuStack(state="ok", source="nvml"),  # noqa: B008 - it is not changed
    gpus: tuple[Gpu, ...] = GPUS,
) -> Moment:
    return Moment(
        at,
        Telemetry(at=at, host=HostSample(), gpus=list(samples), processes=list(processes)),
        Inventory(stack=stack, gpus=gpus),
        containers,
        xids,
    )


def shown(arm: ArmWatch) -> Arm:
    return arm.shown(Requests(why="no proxy"))


def gpu_of(arm: ArmWatch) -> ArmGpu:
    [gpu] = shown(arm).gpus or []
    return gpu


def test_memory_is_of_its_own_processes() -> None:
    arm = watched()
    arm.take(moment(process("c", 100), process("c", 20, 8), process("s", 9), process(None, 5)))
    arm.take(moment(process("c", 200), process("s", 9), at=2.0))
    told = shown(arm)
    assert told.gpu_memory_bytes is not None
    assert (told.gpu_memory_bytes.count, told.gpu_memory_bytes.last) == (2, 200.0)
    assert told.gpu_memory_bytes.mean == 160.0
    gpu = gpu_of(arm)
    assert gpu.shared_with == ["others", "stable"]
    assert (gpu.utilization_percent.last, gpu.temperature_celsius.last) == (50.0, 60.0)
    assert told.unknown["requests"] == "no proxy"


def test_nothing_there_is_0_and_not_to_be_told_is_none() -> None:
    arm = watched()
    arm.take(moment())
    assert gpu_of(arm).memory_bytes.last == 0.0
    # The stable one was given it, too, though it does nothing there yet.
    assert gpu_of(arm).shared_with == ["stable"]

    arm = watched()
    arm.take(moment(process(None, unknown={"container": "no_process"})))
    told = gpu_of(arm).memory_bytes
    assert (told.last, told.count, told.errors) == (None, 0, 0)
    assert told.unknown is not None
    assert "whose process 7 is, is not known" in told.unknown
    assert shown(arm).gpu_memory_bytes == told


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (GpuSample(uuid="GPU-a", unknown={"processes": "not_supported"}), "does not tell"),
        (GpuSample(uuid="GPU-a", state="lost", reason="it fell off the bus"), "fell off"),
        (GpuSample(uuid="GPU-b"), "GPU-a is not there any more"),
    ],
)
def test_a_gpu_that_does_not_tell(sample: GpuSample, words: str) -> None:
    arm = watched()
    arm.take(moment(process("c"), samples=[sample]))
    gpu = gpu_of(arm)
    assert gpu.memory_bytes.last is None
    assert gpu.memory_bytes.unknown is not None
    assert words in gpu.memory_bytes.unknown
    assert gpu.shared_with is None


def test_a_slice_is_told_apart_from_its_gpu() -> None:
    arm = watched(ArmOf("candidate", "c", ["MIG-a"]), ArmOf("stable", "s", ["GPU-a"]))
    arm.take(
        moment(
            process("c", 70, gpu_uuid="GPU-b", mig_uuid="MIG-a"),
            process("s", 9, gpu_uuid="GPU-a"),
        )
    )
    gpu = gpu_of(arm)
    assert (gpu.uuid, gpu.memory_bytes.last, gpu.temperature_celsius.last) == ("MIG-a", 70.0, 70.0)
    assert gpu.utilization_percent.unknown == "it is not told of a MIG slice"
    assert gpu.shared_with == []


def xid(code: int, **more: Any) -> XidEvent:
    return XidEvent(**{"code": code, "at": 1.0, "gpu_uuid": "GPU-a", **more})


def test_xids_are_of_the_gpu_unless_they_name_a_process_of_somebody_else() -> None:
    arm, other = watched(), watched(STABLE, CANDIDATE)
    one = moment(
        process("c", pid=7),
        process("s", pid=8),
        xids=[
            xid(31, text="pid=7, name=python"),
            xid(13, text="pid=8, name=python"),
            xid(79, gpu_uuid=None, pci_bus_id="00000000:01:00.0", text="GPU has fallen off"),
            xid(48, gpu_uuid="GPU-b"),
            xid(43, text="pid=4711, name=gone"),
        ],
    )
    for each in (arm, other):
        each.take(moment(process("c", pid=7), process("s", pid=8)))
        each.take(one)
    assert (gpu_of(arm).xids, gpu_of(arm).xid_codes) == (3, [31, 43, 79])
    assert (gpu_of(other).xids, gpu_of(other).xid_codes) == (3, [13, 43, 79])


def test_the_xid_that_ended_the_arm_counts_and_stays_in_another_window() -> None:
    arm = watched()
    arm.take(moment(process("c")))
    dead = {**BOTH, "c": container("c", state="exited")}
    arm.take(moment(containers=dead, xids=[xid(31)], at=2.0))
    arm.begin(3.0)
    arm.take(moment(containers=BOTH, at=4.0))
    assert gpu_of(arm).xids == 1
    assert gpu_of(arm).temperature_celsius.count == 1


def test_a_lost_gpu_still_has_the_xid_that_says_so() -> None:
    arm = watched()
    arm.take(moment(process("c")))
    arm.take(moment(gpus=(), samples=[], xids=[xid(79)], at=2.0))
    assert gpu_of(arm).xids == 1


def test_where_nobody_tells_of_xids_they_are_not_0() -> None:
    arm = watched()
    arm.take(moment(stack=GpuStack(state="ok", source="tegra")))
    gpu = gpu_of(arm)
    assert gpu.xids is None
    assert gpu.unknown == {"xids": "its driver tells of no XIDs"}
    assert gpu.shared_with is None


def test_where_the_driver_reports_no_events_only_one_that_came_is_known() -> None:
    silent = GpuStack(state="ok", source="nvml", unknown={"xids": "error:3"})
    arm = watched()
    arm.take(moment(stack=silent))
    assert gpu_of(arm).unknown == {"xids": "its driver reports no events"}
    arm.take(moment(stack=silent, xids=[xid(79)]))
    assert gpu_of(arm).xids == 1


@pytest.mark.parametrize(
    ("runs", "restarts"),
    [
        ([(1.0, 0), (1.0, 0)], 0),
        ([(1.0, 0), (2.0, 1)], 1),
        ([(1.0, 0), (9.0, 5)], 5),  # faster than it is looked at
        ([(1.0, 5), (2.0, 0)], 1),  # by hand: the runtime counts anew
        ([(1.0, 0), (2.0, 1), (2.0, 1), (3.0, 2)], 2),
    ],
)
def test_restarts_are_counted_however_they_come(
    runs: list[tuple[float, int]], restarts: int
) -> None:
    arm = watched()
    for number, (started_at, count) in enumerate(runs):
        one = container("c", started_at=started_at, restart_count=count)
        arm.take(moment(containers={"c": one}, at=float(number)))
    assert shown(arm).restarts == restarts


def test_an_arm_that_rests_has_no_figures_and_a_reason() -> None:
    arm = watched(ArmOf("stable", "s", ["GPU-a"], rests=True, why="it was stopped"), CANDIDATE)
    arm.take(moment(process("s"), xids=[xid(31)]))
    told = shown(arm)
    assert (told.container, told.runs, told.gpus, told.restarts) == ("s", True, None, None)
    assert set(told.unknown.values()) == {"it was stopped"}


@pytest.mark.parametrize(("containers", "runs"), [({}, None), ({"s": container("s")}, False)])
def test_a_container_that_nobody_tells_of(
    containers: dict[str, Container], runs: bool | None
) -> None:
    arm = watched()
    arm.take(moment(containers=containers))
    assert shown(arm).runs is runs
    assert shown(arm).unknown["restarts"] == "the runtime does not tell of it"


def test_another_window_begins_anew() -> None:
    arm = watched()
    arm.take(moment(process("c"), process("s", pid=8)))
    arm.begin(5.0)
    assert gpu_of(arm).memory_bytes.unknown == "it was not read yet"
    arm.take(moment(process("c", 300), at=6.5, containers={"c": BOTH["c"]}))
    gpu = gpu_of(arm)
    assert (gpu.memory_bytes.count, gpu.memory_bytes.last_at) == (1, 1.5)
    assert gpu.shared_with == []
