"""The check of containers that should see a GPU."""

from __future__ import annotations

from typing import Any

import pytest

from agent.doctor.checks import container_gpu
from agent.doctor.inside import InsideLook
from agent.protocol.gpus import GpuStack, MigInstance
from tests.agent.doctor.patients import DETECTOR, A, B, Patient, codes, container, gpu

SUBJECT = f"container/{DETECTOR}"


@pytest.fixture
def patient() -> Patient:
    return Patient()


def by_exec(*uuids: str) -> InsideLook:
    return InsideLook(way="exec", sees=bool(uuids), uuids=uuids)


def by_nodes(*minors: int) -> InsideLook:
    return InsideLook(way="device_nodes", sees=bool(minors), minors=minors)


def test_nobody_asked(patient: Patient) -> None:
    stopped = container(gpus=["all"], gpu_way="cdi", state="exited")
    other = container(gpus=["amd.com/gpu=0"], gpu_way="cdi")
    patient.runs(container(), stopped, other)
    assert container_gpu.check(patient.evidence()).outcome == "does_not_apply"


@pytest.mark.parametrize(
    ("gpus", "way", "look"),
    [
        ([A], "device_request", by_exec(A)),
        (["0"], "device_request", by_exec(A)),
        (["all"], "cdi", by_exec(A, B)),
        ([B], "runtime", by_nodes(1)),
        (["1"], "devices", by_nodes(1)),
        (["GPU-not-known-here"], "cdi", by_exec(A)),
    ],
)
def test_containers_that_see_what_they_asked_for(
    patient: Patient, gpus: list[str], way: Any, look: InsideLook
) -> None:
    patient.runs(container(gpus=gpus, gpu_way=way), inside=look)
    assert container_gpu.check(patient.evidence()).outcome == "ok"


@pytest.mark.parametrize(
    ("gpus", "look", "missing"),
    [
        ([A], by_exec(B), A),
        (["all"], by_exec(A), B),
        (["0", "1"], by_nodes(0), B),
    ],
)
def test_containers_that_see_another_gpu(
    patient: Patient, gpus: list[str], look: InsideLook, missing: str
) -> None:
    patient.runs(container(gpus=gpus, gpu_way="cdi"), inside=look)
    outcome = container_gpu.check(patient.evidence())
    assert codes(outcome) == [("container.gpu_not_visible", SUBJECT)]
    assert outcome.findings[0].evidence["missing"] == missing
    assert outcome.findings[0].evidence["looked_by"] == look.way


def test_device_nodes_are_meant_by_their_number(patient: Patient) -> None:
    patient.gpus = [gpu(A, 0, minor=1), gpu(B, 1, minor=0)]  # the order changed
    patient.runs(container(gpus=["1"], gpu_way="devices"), inside=by_nodes(1))
    assert container_gpu.check(patient.evidence()).outcome == "ok"
    patient.runs(container(gpus=["1"], gpu_way="cdi"), inside=by_nodes(1))
    assert container_gpu.check(patient.evidence()).findings[0].evidence["missing"] == B


def test_slices(patient: Patient) -> None:
    sliced = [MigInstance(uuid="MIG-1", index=0), MigInstance(uuid="MIG-2", index=1)]
    patient.gpus = [gpu(A, 0, mig=True, mig_instances=sliced)]
    for gpus, look, outcome in (
        (["MIG-1"], by_exec(A, "MIG-1"), "ok"),
        (["MIG-2"], by_exec(A, "MIG-1"), "found"),
        (["0:1"], by_exec(A, "MIG-2"), "ok"),
        (["0"], by_exec("MIG-1"), "ok"),  # any slice of it
        (["MIG-2"], by_nodes(0), "ok"),  # its GPU's node is all that can be seen
    ):
        patient.runs(container(gpus=gpus, gpu_way="cdi"), inside=look)
        assert container_gpu.check(patient.evidence()).outcome == outcome, gpus


def test_a_jetsons_own_nodes(patient: Patient) -> None:
    patient.use_jetson()
    nodes = InsideLook(way="device_nodes", sees=True, tegra=True)
    smi = InsideLook(way="exec", sees=True, uuids=("a9485f58-0a6e-5a97-b73d-87cdf435c65e",))
    for look in (nodes, smi):
        patient.runs(container(gpus=["all"], gpu_way="runtime"), inside=look)
        assert container_gpu.check(patient.evidence()).outcome == "ok"


def test_could_not_tell(patient: Patient) -> None:
    patient.runs(container(gpus=["0"], gpu_way="cdi"))
    outcome = container_gpu.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "detector: not looked into")
    blind = InsideLook(way="none", sees=None, reason="no way in")
    patient.runs(container(gpus=["0"], gpu_way="cdi"), inside=blind)
    outcome = container_gpu.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "detector: no way in")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("Failed to initialize NVML: Unknown Error", "daemon-reload"),
        ("Failed to initialize NVML: Driver/library version mismatch", "before the last upgrade"),
        ("Failed to initialize NVML: Insufficient Permissions", "may not open them"),
        ("No devices found.", "Nothing put the GPU into the container"),
    ],
)
def test_why_a_container_sees_none(patient: Patient, said: str, cause: str) -> None:
    look = InsideLook(way="exec", sees=False, reason=said)
    patient.runs(container(gpus=[A], gpu_way="device_request"), inside=look)
    outcome = container_gpu.check(patient.evidence())
    assert codes(outcome) == [("container.gpu_not_visible", SUBJECT)]
    assert cause in outcome.findings[0].cause
    assert outcome.findings[0].evidence["said"] == said


def test_the_nodes_own_fault_and_podmans(patient: Patient) -> None:
    none = InsideLook(way="device_nodes", sees=False, environment="all")
    patient.runs(container(gpus=["all"], gpu_way="device_request"), inside=none)
    patient.use_podman()
    (finding,) = container_gpu.check(patient.evidence()).findings
    assert "Podman ignores" in finding.cause
    assert finding.evidence["NVIDIA_VISIBLE_DEVICES"] == "all"
    patient.stack = GpuStack(state="driver_mismatch", source="nvml", reason="two versions")
    assert "two versions" in container_gpu.check(patient.evidence()).findings[0].cause
