"""Toolkit, hook, CDI, Podman and Jetson."""

from __future__ import annotations

import pytest

from agent.doctor.checks import cdi_spec, hook_path, jetson_runtime, podman_requests, toolkit
from agent.doctor.daemon import DaemonLook
from agent.doctor.inside import InsideLook
from agent.doctor.system import SystemLook
from agent.host.cdi import CdiSpec
from agent.protocol.gpus import MigInstance
from agent.protocol.node import RuntimeFacts, ToolkitFacts
from tests.agent.doctor.patients import A, B, Patient, codes, container, gpu, spec


@pytest.fixture
def patient() -> Patient:
    return Patient()


def found_by(patient: Patient, daemon: DaemonLook) -> None:
    patient.more["system"] = SystemLook(daemon=daemon)


def have(patient: Patient, *specs: CdiSpec) -> None:
    patient.more["system"] = SystemLook(cdi_specs=specs)


def test_a_toolkit_is_there(patient: Patient) -> None:
    assert toolkit.check(patient.evidence()).outcome == "ok"


def test_no_toolkit(patient: Patient) -> None:
    patient.toolkit = ToolkitFacts(unknown={"mode": "missing"})
    outcome = toolkit.check(patient.evidence())
    assert codes(outcome) == [("toolkit.missing", "node")]
    assert "apt-get install nvidia-container-toolkit" in outcome.findings[0].mend
    assert "nvidia-ctk runtime configure --runtime=docker" in outcome.findings[0].mend
    patient.use_podman()
    assert "nvidia-ctk cdi generate" in toolkit.check(patient.evidence()).findings[0].mend


def test_a_toolkit_that_does_not_tell(patient: Patient) -> None:
    patient.toolkit = ToolkitFacts(unknown={"version": "no_permission"})
    outcome = toolkit.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "no_permission")


@pytest.mark.parametrize(
    "check", [toolkit.check, hook_path.check, cdi_spec.check], ids=["toolkit", "hook", "cdi"]
)
def test_without_gpu_or_runtime_no_toolkit_is_needed(patient: Patient, check: object) -> None:
    assert callable(check)
    patient.toolkit = ToolkitFacts()
    patient.runtime = RuntimeFacts(state="not_found")
    assert check(patient.evidence()).outcome == "does_not_apply"
    patient = Patient()
    patient.use_no_gpu()
    assert check(patient.evidence()).outcome == "does_not_apply"


def test_dockerd_finds_the_hook(patient: Patient) -> None:
    assert hook_path.check(patient.evidence()).outcome == "ok"


def test_the_hook_is_not_in_dockerds_path(patient: Patient) -> None:
    patient.toolkit.hook_path = "/usr/local/nvidia/toolkit/nvidia-container-runtime-hook"
    found_by(patient, DaemonLook(pid=7, path="/usr/bin:/bin"))
    outcome = hook_path.check(patient.evidence())
    assert codes(outcome) == [("toolkit.hook_not_in_path", "node")]
    (finding,) = outcome.findings
    assert finding.evidence["dockerd_path"] == "/usr/bin:/bin"
    assert "`Environment=PATH=/usr/local/nvidia/toolkit:/usr/bin:/bin`" in finding.mend


def test_only_the_base_package_is_installed(patient: Patient) -> None:
    patient.toolkit.hook_path = None
    found_by(patient, DaemonLook(pid=7, path="/usr/bin"))
    (finding,) = hook_path.check(patient.evidence()).findings
    assert "apt-get install nvidia-container-toolkit" in finding.mend


@pytest.mark.parametrize(
    ("version", "outcome"), [("29.2.0", "ok"), ("29.1.5", "found"), ("dev", "found")]
)
def test_newer_dockers_do_with_the_cdi_hook(patient: Patient, version: str, outcome: str) -> None:
    patient.runtime.version = version
    found_by(patient, DaemonLook(pid=7, path="/usr/bin", cdi_hook="/usr/bin/nvidia-cdi-hook"))
    assert hook_path.check(patient.evidence()).outcome == outcome


def test_a_dockerd_that_cannot_be_looked_at(patient: Patient) -> None:
    found_by(patient, DaemonLook(reason="no_permission"))
    outcome = hook_path.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "no_permission")
    patient.more["system"] = SystemLook()
    assert hook_path.check(patient.evidence()).outcome == "could_not_tell"


def test_where_no_hook_is_used(patient: Patient) -> None:
    patient.toolkit = ToolkitFacts()
    assert hook_path.check(patient.evidence()).outcome == "does_not_apply"
    patient = Patient()
    patient.use_jetson()
    assert hook_path.check(patient.evidence()).outcome == "does_not_apply"
    patient = Patient()
    patient.use_podman()
    assert hook_path.check(patient.evidence()).outcome == "does_not_apply"
    patient = Patient()
    patient.agent.simulated = True
    assert hook_path.check(patient.evidence()).outcome == "does_not_apply"


def test_a_docker_without_cdi_needs_no_spec(patient: Patient) -> None:
    have(patient)
    assert cdi_spec.check(patient.evidence()).outcome == "does_not_apply"
    patient.runtime.cdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]
    assert cdi_spec.check(patient.evidence()).outcome == "does_not_apply"  # the hook does


def test_a_spec_that_fits(patient: Patient) -> None:
    patient.runtime.cdi_spec_dirs = ["/etc/cdi"]
    assert cdi_spec.check(patient.evidence()).outcome == "ok"
    patient.use_podman()
    assert cdi_spec.check(patient.evidence()).outcome == "ok"


def test_who_cannot_do_without_a_spec(patient: Patient) -> None:
    have(patient)
    patient.runs(container(gpus=["0"], gpu_way="cdi"))
    assert codes(cdi_spec.check(patient.evidence())) == [("cdi.no_spec", "node")]
    patient.runs()
    patient.toolkit.mode = "cdi"
    assert codes(cdi_spec.check(patient.evidence())) == [("cdi.no_spec", "node")]
    patient.toolkit.mode = "auto"
    patient.use_podman()
    (finding,) = cdi_spec.check(patient.evidence()).findings
    assert "Podman" in finding.cause
    assert "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`" in finding.mend


@pytest.mark.parametrize(
    ("stale", "fault", "value"),
    [
        (
            spec(driver_versions=("470.239.06",)),
            "driver",
            "470.239.06 named, 535.183.01 loaded",
        ),
        (spec(devices=("0", "1", A, B, "GPU-gone", "all")), "not_there", "GPU-gone"),
        (spec(devices=("0", A, "all")), "left_out", B),
        (spec(devices=("0", "all")), "left_out", "1"),  # of an older toolkit: indexes only
        (spec(devices=("0", "1", "2", "all")), "not_there", "2"),
    ],
)
def test_stale_specs(patient: Patient, stale: CdiSpec, fault: str, value: str) -> None:
    patient.use_podman()
    have(patient, stale)
    outcome = cdi_spec.check(patient.evidence())
    assert codes(outcome) == [("cdi.stale_spec", "node")]
    assert outcome.findings[0].evidence == {"files": "/etc/cdi/nvidia.yaml", fault: value}


def test_a_fresh_spec_in_a_later_folder_hides_a_stale_one(patient: Patient) -> None:
    patient.use_podman()
    fresh = spec(path="/var/run/cdi/nvidia.yaml")
    have(patient, spec(driver_versions=("470.239.06",)), fresh)
    assert cdi_spec.check(patient.evidence()).outcome == "ok"
    have(patient, spec(driver_versions=("470.239.06",), devices=(A, "GPU-gone")), fresh)
    outcome = cdi_spec.check(patient.evidence())
    assert outcome.findings[0].evidence["not_there"] == "GPU-gone"


def test_slices_stand_for_their_gpu(patient: Patient) -> None:
    patient.use_podman()
    sliced = gpu(A, 0, mig=True, mig_instances=[MigInstance(uuid="MIG-1", index=0)])
    patient.gpus = [sliced, gpu(B, 1)]
    have(patient, spec(devices=("0:0", "1", "MIG-1", B, "all")))
    assert cdi_spec.check(patient.evidence()).outcome == "ok"
    have(patient, spec(devices=("0:0", "1", "MIG-old", B, "all")))
    (finding,) = cdi_spec.check(patient.evidence()).findings
    assert finding.evidence["not_there"] == "MIG-old"
    assert finding.evidence["left_out"] == "MIG-1"


def test_specs_that_cannot_be_read(patient: Patient) -> None:
    patient.use_podman()
    have(patient, CdiSpec(path="/etc/cdi/nvidia.yaml", reason="no_permission"))
    outcome = cdi_spec.check(patient.evidence())
    assert outcome.outcome == "could_not_tell"
    assert outcome.reason == "/etc/cdi/nvidia.yaml: no_permission"
    patient.more["system"] = SystemLook()
    assert cdi_spec.check(patient.evidence()).outcome == "could_not_tell"


def test_podman_drops_requests_that_are_not_cdi(patient: Patient) -> None:
    asked = container("old", gpus=["0"], gpu_way="device_request")
    patient.runs(asked, container("new", id="e" * 64, gpus=["0"], gpu_way="cdi"))
    assert podman_requests.check(patient.evidence()).outcome == "does_not_apply"
    patient.use_podman()
    outcome = podman_requests.check(patient.evidence())
    assert codes(outcome) == [("container.request_ignored", f"container/{asked.id}")]
    assert outcome.findings[0].severity == "error"
    assert "nvidia.com/gpu=0" in outcome.findings[0].mend
    patient.runs()
    assert podman_requests.check(patient.evidence()).outcome == "ok"
    patient.use_no_gpu()
    assert podman_requests.check(patient.evidence()).outcome == "does_not_apply"


@pytest.mark.parametrize(
    ("look", "outcome"),
    [
        (InsideLook(way="device_nodes", sees=False, environment="all"), "found"),
        (InsideLook(way="device_nodes", sees=False, environment="void"), "ok"),
        (InsideLook(way="device_nodes", sees=False), "ok"),
        (InsideLook(way="device_nodes", sees=True, minors=(0,), environment="all"), "ok"),
        (InsideLook(way="none", sees=None, reason="no_permission"), "could_not_tell"),
        (None, "could_not_tell"),
    ],
)
def test_podman_leaves_no_trace_of_what_it_dropped(
    patient: Patient, look: InsideLook | None, outcome: str
) -> None:
    patient.use_podman()
    patient.runs(container(), inside=look)
    told = podman_requests.check(patient.evidence())
    assert told.outcome == outcome
    assert [finding.severity for finding in told.findings] == ["warning"] * (outcome == "found")
    codes(told)


def test_a_jetson_as_it_should_be(patient: Patient) -> None:
    assert jetson_runtime.check(patient.evidence()).outcome == "does_not_apply"
    patient.use_jetson()
    patient.runs(container(gpus=["all"], gpu_way="runtime"))
    assert jetson_runtime.check(patient.evidence()).outcome == "ok"


def test_a_jetson_whose_docker_has_no_nvidia_runtime(patient: Patient) -> None:
    patient.use_jetson()
    patient.runtime.runtimes = ["io.containerd.runc.v2", "runc"]
    asked = container(gpus=["all"], gpu_way="device_request")
    patient.runs(asked)
    assert codes(jetson_runtime.check(patient.evidence())) == [
        ("toolkit.no_nvidia_runtime", "node"),
        ("container.needs_nvidia_runtime", f"container/{asked.id}"),
    ]


def test_a_jetson_with_another_runtime(patient: Patient) -> None:
    patient.use_jetson()
    patient.use_podman()
    assert jetson_runtime.check(patient.evidence()).outcome == "does_not_apply"
