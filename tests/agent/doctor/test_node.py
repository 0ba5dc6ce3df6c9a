"""Disk, clock, runtime and its socket."""

from __future__ import annotations

import pytest

from agent.doctor.checks import clock, disk, runtime, socket_permission
from agent.doctor.evidence import ClockOffset
from agent.doctor.system import SocketLook, SystemLook
from agent.protocol.node import Disk, RuntimeFacts
from agent.protocol.telemetry import HostSample
from tests.agent.doctor.patients import GIBIBYTE, Patient, codes


@pytest.fixture
def patient() -> Patient:
    return Patient()


def test_room_enough(patient: Patient) -> None:
    assert disk.check(patient.evidence()).outcome == "ok"


@pytest.mark.parametrize(
    ("total", "free", "severity"),
    [
        (500, 50, None),
        (500, 49, "warning"),  # below 10 %
        (40, 4.9, "warning"),  # below 5 GiB
        (500, 16, "warning"),
        (500, 14, "critical"),  # below 3 %
        (500, 0, "critical"),
    ],
)
def test_the_thresholds(patient: Patient, total: float, free: float, severity: str | None) -> None:
    patient.disks = [
        Disk(
            path="/data",
            purposes=["runtime"],
            total_bytes=int(total * GIBIBYTE),
            free_bytes=int(free * GIBIBYTE),
        )
    ]
    outcome = disk.check(patient.evidence())
    assert [finding.severity for finding in outcome.findings] == ([severity] if severity else [])
    assert codes(outcome) == ([("disk.nearly_full", "disk//data")] if severity else [])


def test_the_fresh_figure_counts(patient: Patient) -> None:
    patient.more["host"] = HostSample(disk_free_bytes={"/": GIBIBYTE})
    (finding,) = disk.check(patient.evidence()).findings
    assert finding.evidence["free"] == "1.0 of 500.0 GiB"
    assert "docker image prune" in finding.mend
    patient.use_podman()
    assert "podman image prune" in disk.check(patient.evidence()).findings[0].mend


def test_disks_that_cannot_be_judged(patient: Patient) -> None:
    patient.disks = []
    assert disk.check(patient.evidence()).outcome == "could_not_tell"
    patient.disks = [Disk(path="/odd", purposes=["roost"], total_bytes=0, free_bytes=0)]
    outcome = disk.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "/odd: its size is not known")


@pytest.mark.parametrize(
    ("seconds", "uncertainty", "outcome"),
    [
        (0.2, 0.1, "ok"),
        (-5.0, 0.0, "ok"),
        (6.0, 2.0, "ok"),  # may be 4 s
        (6.0, 0.5, "found"),
        (-3600.0, 4.0, "found"),
        (3.0, 8.0, "could_not_tell"),  # may be anything up to 11 s
        (60.0, 8.0, "found"),
    ],
)
def test_the_clock(patient: Patient, seconds: float, uncertainty: float, outcome: str) -> None:
    patient.more["clock"] = ClockOffset(seconds, uncertainty)
    assert clock.check(patient.evidence()).outcome == outcome


def test_no_console_told_its_time(patient: Patient) -> None:
    assert clock.check(patient.evidence()).outcome == "could_not_tell"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-6.5, "6 s behind"),
        (90.0, "90 s ahead of"),
        (7200.0, "2 hours ahead of"),
        (-1.5e9, "17361 days behind"),
    ],
)
def test_the_clock_in_words(patient: Patient, seconds: float, words: str) -> None:
    patient.more["clock"] = ClockOffset(seconds, 0.1)
    outcome = clock.check(patient.evidence())
    assert codes(outcome) == [("clock.off", "node")]
    assert words in outcome.findings[0].title


def test_the_runtime_answers(patient: Patient) -> None:
    assert runtime.check(patient.evidence()).outcome == "ok"
    assert socket_permission.check(patient.evidence()).outcome == "ok"


def test_the_runtime_does_not_answer(patient: Patient) -> None:
    patient.runtime = RuntimeFacts(
        state="unreachable", reason="nobody listens", address="unix:///run/x.sock"
    )
    outcome = runtime.check(patient.evidence())
    assert codes(outcome) == [("runtime.unreachable", "node")]
    assert outcome.findings[0].evidence == {
        "address": "unix:///run/x.sock",
        "reason": "nobody listens",
    }
    told = socket_permission.check(patient.evidence())
    assert (told.outcome, told.reason) == ("could_not_tell", "nobody listens")


def test_no_runtime_at_all(patient: Patient) -> None:
    patient.runtime = RuntimeFacts(state="not_found")
    outcome = runtime.check(patient.evidence())
    assert codes(outcome) == [("runtime.not_found", "node")]
    assert "`sudo apt-get install docker.io`" in outcome.findings[0].mend
    assert socket_permission.check(patient.evidence()).outcome == "does_not_apply"


def test_a_socket_for_others(patient: Patient) -> None:
    address = "unix:///var/run/docker.sock"
    patient.runtime = RuntimeFacts(state="no_permission", address=address)
    look = SocketLook(
        path="/var/run/docker.sock",
        owner="root",
        group="docker",
        mode="0660",
        agent_user="roost",
    )
    patient.more["system"] = SystemLook(socket=look)
    outcome = socket_permission.check(patient.evidence())
    assert codes(outcome) == [("runtime.no_permission", "node")]
    assert outcome.findings[0].evidence == {
        "address": address,
        "owner": "root",
        "group": "docker",
        "mode": "0660",
    }
    assert "`sudo usermod -aG docker roost" in outcome.findings[0].mend
    assert runtime.check(patient.evidence()).outcome == "does_not_apply"


@pytest.mark.parametrize(
    ("user", "group", "mend"),
    [("root", "docker", "SELinux"), ("roost", "root", "Run the agent as root")],
)
def test_sockets_that_a_group_does_not_open(
    patient: Patient, user: str, group: str, mend: str
) -> None:
    patient.runtime = RuntimeFacts(state="no_permission")
    look = SocketLook(path="/x", group=group, agent_user=user)
    patient.more["system"] = SystemLook(socket=look)
    assert mend in socket_permission.check(patient.evidence()).findings[0].mend


def test_a_socket_that_was_not_looked_at(patient: Patient) -> None:
    patient.runtime = RuntimeFacts(state="no_permission")
    (finding,) = socket_permission.check(patient.evidence()).findings
    assert "usermod -aG docker" in finding.mend
