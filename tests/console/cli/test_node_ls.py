"""`roost node ls`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from console.cli.node_record import NodeRecord
from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.console.cli.commands import roost, write_fleet

pytestmark = pytest.mark.timeout(60)


def test_the_real_agent_in_one_line(tmp_path: Path, short_folder: Path) -> None:
    with AgentProcess(short_folder) as agent:
        entry = NodeEntry(name="here", address=f"unix://{agent.sockets['operator']}")
        fleet = write_fleet(tmp_path / "fleet.yaml", [entry])
        done = roost(tmp_path, "--fleet", fleet, "node", "ls")
        (record,) = roost(tmp_path, "--fleet", fleet, "node", "ls", "--json").json
    assert (done.code, done.err) == (0, "")
    head, line = done.out.splitlines()
    assert head.split()[:2] == ["NODE", "STATE"]  # no mark: nothing in production or simulated
    assert line.split()[:2] == ["here", "live"]
    assert record["facts"]["name"] == "under-test"
    assert record["facts"]["agent"]["simulated"] is False


def test_a_node_that_is_down_is_a_row_and_a_problem(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "node", "ls")
    assert done.code == 1
    rows = {line.split()[0]: line.split() for line in done.out.splitlines()}
    assert rows["plant-1-offline"][1:] == ["offline", *["-"] * 8]
    assert rows["plant-1-t4"][1:6] == ["sim", "live", "470.256.02", "11.4", "2xT4"]
    assert rows["plant-2-a10"][1] == "PROD,sim"
    assert "mismatch" in rows["plant-4-driver-mismatch"]
    assert rows["plant-1-gpu-lost"][5:8] == ["1", "lost", "of"]
    error, hint = done.err.splitlines()
    assert error.startswith("error: plant-1-offline: ")
    assert hint.startswith("hint: ")


def test_unknown_is_a_dash_and_never_0(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "node", "ls", "@plant-4-no-gpu")
    head, line = done.out.splitlines()
    cells = dict(zip(head.split(), line.split(), strict=True))
    assert cells["GPUS"] == "none"
    assert [cells[name] for name in ("DRIVER", "CUDA", "UTIL", "MEM", "TEMP")] == ["-"] * 5


def test_json_holds_every_node_with_the_same_keys(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "node", "ls", "--json")
    records = msgspec.json.decode(done.out, type=list[NodeRecord], strict=True)
    by_name = {record.node: record for record in records}
    assert len({frozenset(record) for record in done.json}) == 1
    offline = by_name["plant-1-offline"]
    assert (offline.state, offline.live, offline.facts) == ("offline", None, None)
    assert offline.problem is not None
    assert offline.problem.code == "link.socket_missing"
    a10 = by_name["plant-2-a10"]
    assert (a10.state, a10.production, a10.problem) == ("live", True, None)
    assert a10.facts is not None
    assert a10.facts.agent.simulated
    assert [gpu.name for gpu in a10.gpus] == ["NVIDIA A10"]
    assert {container.name for container in a10.containers} >= {"detector-0", "gateway"}


def test_all_down_is_3(tmp_path: Path, fleet: Path) -> None:
    assert roost(tmp_path, "--fleet", fleet, "node", "ls", "@plant-1-offline").code == 3


def test_a_selector_chooses(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "node", "ls", "site=plant-1,gpu in (t4)", "--json")
    found = {record["node"] for record in done.json}
    assert "plant-1-t4" in found
    assert {record["labels"]["site"] for record in done.json} == {"plant-1"}
    assert {record["labels"]["gpu"] for record in done.json} == {"t4"}


def test_show_tells_all_of_one_node(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "node", "show", "plant-3-disk-full")
    assert done.code == 0
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines()[:10])
    assert lines["node"] == "plant-3-disk-full sim"
    assert lines["driver"] == "470.256.02"
    assert "is nearly full" in done.out
    assert "mend: " in done.out
    ways = [line[12:] for line in done.out.splitlines()]
    at = ways.index("cdi, no: no CDI device of nvidia.com/gpu is known")
    assert ways[at + 1 : at + 3] == [
        "device_request, used: the hook is /usr/bin/nvidia-container-runtime-hook",
        "runtime, possible: the runtime has one named nvidia",
    ]
    shown = roost(tmp_path, "--fleet", fleet, "node", "show", "plant-3-disk-full", "--json").json
    assert shown["node"] == "plant-3-disk-full"
    assert shown["findings"][0]["severity"] == "critical"
    assert [(each["way"], each["there"]) for each in shown["gpu_ways"]] == [
        ("cdi", False),
        ("device_request", True),
        ("runtime", True),
    ]
