"""`roost node drift` over simulated nodes: exit codes, table, JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.cli.commands import roost

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def expecting(fleet: Path) -> Path:
    fleet.write_text(
        fleet.read_text() + "expect:\n"
        '  "": {runtime: ">=20.10"}\n'
        '  gpu=t4: {driver: ">=535,<560"}\n'
        '  "@plant-1-t4,@plant-1-offline": {gpus: 2, driver: null}\n'
    )
    return fleet


def test_what_is_off_is_a_row_and_1(tmp_path: Path, expecting: Path) -> None:
    done = roost(tmp_path, "--fleet", expecting, "node", "drift", "gpu=t4")
    assert done.code == 1
    head, *lines = done.out.splitlines()
    assert head.split() == ["NODE", "FACT", "STATE", "EXPECTED", "HAS", "SAID", "BY"]
    assert all(line.split()[1:5] == ["driver", "off", ">=535,<560", "470.256.02"] for line in lines)
    assert "plant-1-t4" not in {line.split()[0] for line in lines}
    assert " off, 0 could not be told" in done.err


def test_as_expected_is_0_and_all_shows_it(tmp_path: Path, expecting: Path) -> None:
    done = roost(tmp_path, "--fleet", expecting, "node", "drift", "@plant-1-t4", "--all")
    assert (done.code, done.err.splitlines()[-1]) == (
        0,
        "2 facts of 1 node: 0 off, 0 could not be told",
    )
    assert [line.split()[1:4] for line in done.out.splitlines()[1:]] == [
        ["runtime", "as", "expected"],
        ["gpus", "as", "expected"],
    ]


def test_who_does_not_answer_is_no_drift(tmp_path: Path, expecting: Path) -> None:
    offline = roost(tmp_path, "--fleet", expecting, "node", "drift", "@plant-1-offline")
    assert offline.code == 3
    assert "error: plant-1-offline: " in offline.err
    both = roost(
        *(tmp_path, "--fleet", expecting, "node", "drift"),
        *("@plant-1-offline,@plant-1-t4", "--json"),
    )
    assert both.code == 1
    by_name = {record["node"]: record for record in both.json}
    assert by_name["plant-1-offline"]["drift"] == []
    assert by_name["plant-1-offline"]["problem"]["code"] == "link.socket_missing"
    assert {each["state"] for each in by_name["plant-1-t4"]["drift"]} == {"as_expected"}


def test_nothing_expected_says_how_to(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "node", "drift")
    assert (done.code, done.out) == (0, "")
    assert "expects nothing" in done.err


def test_a_slip_is_told_with_its_line(tmp_path: Path, fleet: Path) -> None:
    lines = len(fleet.read_text().splitlines())
    fleet.write_text(fleet.read_text() + 'expect:\n  "": {drivr: ">=535"}\n')
    done = roost(tmp_path, "--fleet", fleet, "node", "drift")
    assert done.code == 2
    assert f"line {lines + 2}: unknown key 'drivr'" in done.err
    assert "Did you mean 'driver'?" in done.err


def test_against_a_snapshot_of_the_same_node_and_of_another(tmp_path: Path, fleet: Path) -> None:
    was = tmp_path / "was.snapshot"
    taken = roost(tmp_path, "--fleet", fleet, "snapshot", "take", "plant-1-t4", "-o", was)
    assert taken.code == 0, taken.err
    same = roost(tmp_path, "--fleet", fleet, "node", "drift", "@plant-1-t4", "--against", was)
    assert (same.code, same.out) == (0, "")
    other = roost(
        *(tmp_path, "--fleet", fleet, "node", "drift", "@plant-2-a10", "--against", was, "--json")
    )
    assert other.code == 1
    (record,) = other.json
    off = {each["fact"]: each for each in record["drift"] if each["state"] == "off"}
    assert {"driver", "gpu", "gpus"} <= off.keys()
    assert off["driver"]["said_by"] == "was.snapshot"
