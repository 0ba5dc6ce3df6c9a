"""The stub itself, in a process of its own that finds it as a real one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nvml_stub import scenario as scenarios
from tests.nvml_stub.build import StubBuilder, Variant

Question = tuple[str, list[object]]

ASK = """
import json, sys
import pynvml
answers = {}
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(0)
for name, arguments in json.loads(sys.argv[1]):
    try:
        answer = getattr(pynvml, name)(handle, *arguments)
        answers[name] = answer if isinstance(answer, (int, str, list, tuple)) else str(answer)
    except pynvml.NVMLError as error:
        answers[name] = {"error": error.value}
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> StubBuilder:
    return StubBuilder(tmp_path_factory.mktemp("stub"))


def ask(
    builder: StubBuilder,
    scenario: scenarios.Scenario,
    *questions: Question,
    variant: Variant = "current",
) -> dict[str, object]:
    """What plain pynvml gets, loading the library by its soname."""
    scenario.save()
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(builder.library(variant).parent),
        scenarios.ENVIRONMENT: str(scenario.path),
    }
    command = [sys.executable, "-W", "error", "-c", ASK, json.dumps(questions)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    answers: dict[str, object] = json.loads(ran.stdout)
    return answers


def test_the_recorded_h200_has_six_different_errors(builder: StubBuilder, tmp_path: Path) -> None:
    answers = ask(
        builder,
        scenarios.h200(tmp_path / "s", count=1),
        ("nvmlDeviceGetName", []),
        ("nvmlDeviceGetFanSpeed", []),
        ("nvmlDeviceGetRetiredPagesPendingStatus", []),
        ("nvmlDeviceGetNumaNodeId", []),
        ("nvmlDeviceGetDriverModel", []),
        ("nvmlDeviceGetAttributes_v2", []),
        ("nvmlDeviceGetGpuInstanceId", []),
        ("nvmlDeviceGetComputeInstanceId", []),
        ("nvmlDeviceGetFanSpeedRPM", []),
        ("nvmlDeviceGetMinMaxFanSpeed", []),
        ("nvmlDeviceGetMigDeviceHandleByIndex", [0]),
        ("nvmlDeviceGetBBXTimeData_v1", []),
        ("nvmlDeviceGetLastBBXFlushTime", []),
        ("nvmlDeviceGetConfComputeGpuCertificate", []),
    )
    assert answers.pop("nvmlDeviceGetName") == "NVIDIA H200"
    codes = [answer["error"] for answer in answers.values() if isinstance(answer, dict)]
    assert codes == [3, 3, 3, 3, 3, 2, 2, 2, 2, 6, 13, 27, 999]
    assert len(set(codes)) == 6


def test_driver_470_has_no_newer_symbols(builder: StubBuilder, tmp_path: Path) -> None:
    newer: tuple[Question, ...] = (
        ("nvmlDeviceGetMemoryInfo", [0x02000028]),
        ("nvmlDeviceGetComputeRunningProcesses_v3", []),
        ("nvmlDeviceGetCurrentClocksEventReasons", []),
        ("nvmlDeviceGetTemperatureV", [0]),
    )
    answers = ask(builder, scenarios.t4(tmp_path / "s"), *newer, variant="470")
    assert list(answers.values()) == [{"error": 13}] * 4
    older: tuple[Question, ...] = (
        ("nvmlDeviceGetMemoryInfo", []),
        ("nvmlDeviceGetComputeRunningProcesses_v2", []),
    )
    answers = ask(builder, scenarios.t4(tmp_path / "s"), *older, variant="470")
    memory = answers["nvmlDeviceGetMemoryInfo"]
    assert isinstance(memory, str)
    assert "total: 15843721216 B" in memory
    assert answers["nvmlDeviceGetComputeRunningProcesses_v2"] == []


def test_a_structure_of_another_version_is_refused(builder: StubBuilder, tmp_path: Path) -> None:
    scenario = scenarios.h200(tmp_path / "s", count=1)
    answers = ask(builder, scenario, ("nvmlDeviceGetMemoryInfo", [0x03000028]))
    assert answers == {"nvmlDeviceGetMemoryInfo": {"error": 25}}
    assert scenario.calls()["nvmlDeviceGetMemoryInfo_v2", "0"] == 1
