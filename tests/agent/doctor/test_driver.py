"""The checks of the driver and of its versions."""

from __future__ import annotations

import pytest

from agent.doctor.checks import driver, driver_mismatch
from agent.doctor.system import SystemLook
from agent.protocol.gpus import GpuStack, GpuStackState
from tests.agent.doctor.patients import Patient, codes


@pytest.fixture
def patient() -> Patient:
    return Patient()


def test_a_driver_that_works(patient: Patient) -> None:
    assert driver.check(patient.evidence()).outcome == "ok"


def test_no_gpu_needs_no_driver(patient: Patient) -> None:
    patient.use_no_gpu()
    assert driver.check(patient.evidence()).outcome == "does_not_apply"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("no_library", "gpu.no_driver"),
        ("driver_not_loaded", "gpu.driver_not_loaded"),
        ("no_permission", "gpu.no_permission"),
        ("error", "gpu.driver_error"),
    ],
)
def test_each_state_without_a_driver(patient: Patient, state: GpuStackState, code: str) -> None:
    patient.forget_gpus()
    patient.stack = GpuStack(state=state, source="nvml", reason="it said so")
    patient.more["system"] = SystemLook(nvidia_pci=("0000:01:00.0",))
    outcome = driver.check(patient.evidence())
    assert codes(outcome) == [(code, "node")]
    assert outcome.findings[0].evidence["reason"] == "it said so"
    assert outcome.findings[0].evidence["pci"] == "0000:01:00.0"


@pytest.mark.parametrize(
    ("system", "cause", "mend"),
    [
        (SystemLook(nouveau_loaded=True), "nouveau", "blacklist nouveau"),
        (SystemLook(module_built=False), "5.15.0-105-generic", "dkms autoinstall"),
        (SystemLook(module_built=True), "Secure Boot", "mokutil --sb-state"),
        (SystemLook(), "not loaded", "modprobe nvidia"),
    ],
)
def test_why_the_module_is_not_loaded(
    patient: Patient, system: SystemLook, cause: str, mend: str
) -> None:
    patient.forget_gpus()
    patient.stack = GpuStack(state="driver_not_loaded", source="nvml")
    patient.more["system"] = system
    (finding,) = driver.check(patient.evidence()).findings
    assert cause in finding.cause
    assert mend in finding.mend


def test_the_install_command_is_this_systems(patient: Patient) -> None:
    patient.forget_gpus()
    patient.stack = GpuStack(state="no_library", source="none")
    for os_id, command in (
        ("ubuntu", "`sudo ubuntu-drivers install`"),
        ("debian", "`sudo apt-get install nvidia-driver`"),
        ("rocky", "`sudo dnf install nvidia-driver`"),
        ("void", "this system's package manager"),
    ):
        patient.host.os_id = os_id
        (finding,) = driver.check(patient.evidence()).findings
        assert command in finding.mend


def test_module_and_library_agree(patient: Patient) -> None:
    assert driver_mismatch.check(patient.evidence()).outcome == "ok"


def test_a_mismatch_shows_both_versions_and_how_to_hold_them(patient: Patient) -> None:
    patient.forget_gpus()
    patient.stack = GpuStack(
        state="driver_mismatch",
        source="nvml",
        module_version="535.183.01",
        library_version="535.216.01",
    )
    outcome = driver_mismatch.check(patient.evidence())
    assert codes(outcome) == [("gpu.driver_mismatch", "node")]
    (finding,) = outcome.findings
    assert "module 535.183.01, library 535.216.01" in finding.title
    assert "`sudo reboot`" in finding.mend
    assert "sudo apt-mark hold" in finding.mend
    patient.host.os_id = "rocky"
    assert "dnf versionlock add" in driver_mismatch.check(patient.evidence()).findings[0].mend
    patient.host.os_id = None
    assert "exclude" in driver_mismatch.check(patient.evidence()).findings[0].mend


def test_an_upgrade_under_a_running_agent_is_a_mismatch_too(patient: Patient) -> None:
    patient.stack.library_version = "535.216.01"  # on disk; the agent's own is the old one
    assert codes(driver_mismatch.check(patient.evidence())) == [("gpu.driver_mismatch", "node")]


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("hung", "could_not_tell"),
        ("no_permission", "could_not_tell"),
        ("error", "could_not_tell"),
        ("no_library", "does_not_apply"),
        ("no_gpu", "does_not_apply"),
    ],
)
def test_other_states_say_nothing_of_a_mismatch(
    patient: Patient, state: GpuStackState, outcome: str
) -> None:
    patient.forget_gpus()
    patient.stack = GpuStack(state=state, source="nvml", reason="why")
    assert driver_mismatch.check(patient.evidence()).outcome == outcome


def test_a_jetson_has_no_mismatch(patient: Patient) -> None:
    patient.use_jetson()
    assert driver_mismatch.check(patient.evidence()).outcome == "does_not_apply"
