"""Gathering the evidence of a node."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.doctor.evidence import ClockOffset
from agent.doctor.examiner import Examiner
from agent.node import NodeExaminer
from agent.protocol.containers import Container, ExecRequest
from agent.protocol.gpus import GpuSample
from agent.protocol.problems import ProblemError
from tests.agent.doctor.patients import NOW, A, B, FakeNode, Patient, container, gpu
from tests.agent.doubles import EchoSession, FixedRuntime


class Runtime(FixedRuntime):
    def __init__(self, *containers: Container) -> None:
        super().__init__()
        self._all = {one.id: one for one in containers}

    def containers(self) -> dict[str, Container]:
        return self._all

    async def exec(self, name: str, request: ExecRequest) -> EchoSession:
        raise ProblemError("exec.command", f"{request.command[0]} is not in {name}")


def test_it_is_what_a_node_calls() -> None:
    examiner: NodeExaminer = Examiner(Runtime())
    assert callable(examiner.examine)


async def test_everything_is_gathered(tmp_path: Path) -> None:
    patient = Patient()
    patient.gpus[0] = gpu(A, 0, persistence=False)
    patient.use_podman()  # whose /etc/cdi is empty here
    asked = container(gpus=["0"], gpu_way="device_request")
    examiner = Examiner(Runtime(asked), root=tmp_path)
    for second in range(61):
        examiner.watch(NOW + second, [GpuSample(uuid=A, throttle=["sw_thermal"])])
    patient.report.samples = [GpuSample(uuid=A, throttle=["sw_thermal"]), GpuSample(uuid=B)]
    report = await examiner.examine(FakeNode(patient), ClockOffset(60.0, 0.1))
    assert sorted(finding.code for finding in report.findings) == [
        "cdi.no_spec",
        "clock.off",
        "container.request_ignored",
        "gpu.persistence_off",
        "gpu.throttled_thermal",
    ]
    told = {check.check: check for check in report.checks}
    assert told["container_gpu"].outcome == "could_not_tell"


async def test_the_consoles_time_is_remembered(tmp_path: Path) -> None:
    examiner = Examiner(Runtime(), root=tmp_path)
    node = FakeNode(Patient())
    await examiner.examine(node, ClockOffset(60.0, 0.1))
    report = await examiner.examine(node)
    (finding,) = [one for one in report.findings if one.code == "clock.off"]
    assert float(finding.evidence["offset_seconds"]) == pytest.approx(60.0, abs=1.0)


async def test_a_simulated_node_has_no_files() -> None:
    patient = Patient()
    patient.agent.simulated = True
    report = await Examiner(Runtime(), root=None).examine(FakeNode(patient))
    told = {check.check: check.outcome for check in report.checks}
    assert told["hook_path"] == told["cdi_spec"] == "does_not_apply"
    assert report.findings == []
