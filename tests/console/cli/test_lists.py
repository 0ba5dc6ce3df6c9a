"""`gpu ls`, `container ls`, `doctor`: what they print, and what they print as JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from console.cli.container_ls import ContainerRecord
from console.cli.doctor import DoctorRecord
from console.cli.gpu_ls import GpuRecord
from tests.console.cli.commands import roost

pytestmark = pytest.mark.timeout(60)


def test_gpus_one_by_one_and_why_there_are_none(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "gpu", "ls")
    assert done.code == 1
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[1:5] for line in lines if line[0] == "plant-1-t4"] == [
        ["sim", "0", "T4", "ok"],
        ["sim", "1", "T4", "ok"],
    ]
    (offline,) = (line for line in lines if line[0] == "plant-1-offline")
    assert offline[1:4] == ["-", "-", "offline"]
    lost = [line for line in lines if line[0] == "plant-1-gpu-lost"]
    assert [line[5] for line in lost] == ["ok", "lost"]
    assert "the loaded kernel module is 535.183.01" in done.out


def test_gpus_as_json(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "gpu", "ls", "--json")
    records = msgspec.json.decode(done.out, type=list[GpuRecord], strict=True)
    assert len({frozenset(record) for record in done.json}) == 1
    t4 = [record for record in records if record.node == "plant-1-t4"]
    assert [record.gpu.compute_capability for record in t4 if record.gpu] == ["7.5", "7.5"]
    assert [record.live.index for record in t4 if record.live] == [0, 1]
    (none,) = (record for record in records if record.node == "plant-4-no-gpu")
    assert (none.gpu, none.live, none.problem, none.stack_state) == (None, None, None, "no_gpu")
    (offline,) = (record for record in records if record.node == "plant-1-offline")
    assert offline.problem is not None
    assert offline.stack_state is None


def test_containers_also_those_that_ended(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "container", "ls", "@plant-1-gpu-lost,@plant-2-a10")
    assert done.code == 0
    assert "restarting, 41 times" in done.out
    assert "exited 0" in done.out
    production = [line.split() for line in done.out.splitlines() if line.startswith("plant-2-a10")]
    assert {line[1] for line in production} == {"PROD,sim"}


def test_containers_as_json(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "container", "ls", "--json")
    records = msgspec.json.decode(done.out, type=list[ContainerRecord], strict=True)
    assert len({frozenset(record) for record in done.json}) == 1
    assert done.code == 1
    by_node = {record.node: record for record in records}
    assert by_node["plant-1-offline"].container is None
    assert by_node["plant-1-offline"].problem is not None
    assert by_node["plant-2-a10"].production
    names = {r.container.name for r in records if r.container and r.node == "plant-2-a10"}
    assert names == {"detector-0", "gateway", "ingest", "model-fetch"}


def test_the_doctor_says_why_and_what_to_do(tmp_path: Path, fleet: Path) -> None:
    done = roost(
        tmp_path, "--fleet", fleet, "doctor", "@plant-4-driver-mismatch,@plant-2-a10", "-v"
    )
    assert done.code == 1
    assert done.out.startswith("plant-4-driver-mismatch\n") or "\nplant-4-driver" in done.out
    assert "why:  " in done.out
    assert "mend: `sudo reboot`" in done.out
    assert done.err.startswith("2 nodes examined: 1 finding, 1 without any")


def test_a_node_that_is_well_is_0_and_says_so(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "doctor", "@plant-1-t4")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("1 node examined: 0 findings, 1 without any")


def test_the_doctor_as_json(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "doctor", "site=plant-1", "--json")
    records = msgspec.json.decode(done.out, type=list[DoctorRecord], strict=True)
    by_node = {record.node: record for record in records}
    assert by_node["plant-1-offline"].report is None
    lost = by_node["plant-1-gpu-lost"].report
    assert lost is not None
    assert "critical" in {finding.severity for finding in lost.findings}
    assert done.code == 1
