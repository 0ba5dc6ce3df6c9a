"""`roost workload` and `secret` against simulated nodes: several at once, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.console.cli.commands import Done, roost

pytestmark = pytest.mark.timeout(120)

IMAGE = "edge/gateway:1.9.0"
T4, A10, PODMAN = "plant-1-t4", "plant-2-a10", "plant-3-podman"  # the A10 is in production
NO_GPU = "plant-4-no-gpu"


def compose(folder: Path, name: str, **more: object) -> Path:
    file = folder / f"{name}.yaml"
    service = {"image": IMAGE, "x-roost": {"soak": "0s", "gpu": {"select": "0"}}, **more}
    file.write_text(json.dumps({"name": "cams", "services": {name: service}}))
    return file


def run(fleet: Path, *arguments: str | Path, given: str = "") -> Done:
    return roost(fleet.parent, "--fleet", fleet, *arguments, given=given)


def test_each_node_is_named_and_one_that_cannot_keeps_no_other_up(fleet: Path) -> None:
    file = compose(fleet.parent, "several")
    checked = run(fleet, "workload", "apply", file, "--to", "site", "--check", "--json")
    plans = {each["node"]: each for each in checked.json}
    assert plans[T4]["plan"]["workloads"][0]["action"] == "create"
    assert plans["plant-1-offline"]["problem"]["code"].startswith("link.")
    done = run(fleet, "workload", "apply", file, "--to", "site", "--yes", "--json")
    assert done.code == 1
    results = {each["node"]: each["result"] for each in done.json}
    assert set(results) == set(plans)
    assert (results[T4], results[A10], results[PODMAN]) == ("done", "done", "done")
    assert (results[NO_GPU], results["plant-1-offline"]) == ("refused", "failed")
    assert f"error: {NO_GPU}: " in done.err
    assert f"{T4}: " in done.err
    again = run(fleet, "workload", "apply", file, "--to", f"@{T4}", "--json")
    assert [each["result"] for each in again.json] == ["unchanged"]
    for node in (name for name, result in results.items() if result == "done"):
        removed = run(fleet, "workload", "rm", node, "several", "--yes")
        assert (removed.code, removed.out) == (0, f"{node}  several  removed\n")


def test_production_is_asked_and_read_only_changes_nothing(fleet: Path) -> None:
    file = compose(fleet.parent, "asked")
    done = run(fleet, "workload", "apply", file, "--to", f"@{A10}")
    assert done.code == 2
    assert f"{A10} is in production" in done.err
    assert "asked: create" in done.err
    for verb in (
        ["workload", "apply", str(file), "--to", f"@{T4}"],
        ["workload", "undo", T4, "asked"],
        ["workload", "rm", T4, "asked"],
        ["secret", "rm", T4, "asked"],
    ):
        refused = run(fleet, "--read-only", *verb)
        assert (refused.code, "console was asked to change nothing" in refused.err) == (2, True)
    listed = run(fleet, "workload", "ls", f"@{A10}", "--json")
    assert listed.json == []


def test_a_file_that_does_not_fit_a_node_stops_all_before_any_is_asked(fleet: Path) -> None:
    file = compose(fleet.parent, "unset", environment={"A": "${NOT_SET}"})
    done = run(fleet, "workload", "apply", file, "--to", f"@{T4}")
    assert (done.code, done.out) == (1, "")
    assert "nothing was done" in done.err
    assert (
        run(fleet, "workload", "apply", file, "--to", f"@{T4}", "--confirm-within", "x").code == 2
    )


def test_a_pin_is_checked_and_taken_back(fleet: Path) -> None:
    pinned = run(fleet, "container", "pin", T4, "detector-0", "--gpu", "1", "--json")
    assert pinned.code == 0, pinned
    assert pinned.json["state"] == "succeeded"
    shown = run(fleet, "workload", "show", T4, "detector-0", "--json").json
    assert shown["workload"]["state"] == "running"
    assert shown["undo"].startswith("container ")
    assert [part["gpu_checked"] for part in shown["deployment"]["workloads"]] == ["nvidia-smi"]
    undone = run(fleet, "workload", "undo", T4, "detector-0")
    assert (undone.code, undone.out) == (0, f"{T4}  detector-0  taken back\n")
    gone = run(fleet, "workload", "show", T4, "detector-0")
    assert (gone.code, "no workload is named" in gone.err) == (1, True)


def test_simulated_nodes_have_no_secrets_and_say_so(fleet: Path) -> None:
    for verb in (["set", T4, "camera"], ["ls", T4], ["rm", T4, "camera"]):
        done = run(fleet, "secret", *verb, given="hunter2")
        assert done.code == 1
        assert done.err.startswith(f"error: {T4} is simulated, and keeps no secrets\n")
        assert "hunter2" not in done.out + done.err


def test_a_way_out_must_be_said(fleet: Path) -> None:
    assert run(fleet, "workload", "resolve", T4, "x").code == 2
    done = run(fleet, "workload", "resolve", T4, "x", "--keep-old")
    assert (done.code, "no workload is named" in done.err) == (1, True)


def test_a_pin_keeps_what_a_workload_was_given_its_gpus_with(fleet: Path) -> None:
    gpu = {"select": "0", "memory": "2GiB", "exclusive": True, "on_lost": "recreate"}
    file = compose(fleet.parent, "terms", **{"x-roost": {"soak": "0s", "gpu": gpu}})
    assert run(fleet, "workload", "apply", file, "--to", f"@{T4}", "--yes").code == 0

    def terms(*options: str) -> tuple[object, ...]:
        pinned = run(fleet, "container", "pin", T4, "terms", *options, "--yes")
        assert pinned.code == 0, pinned
        shown = run(fleet, "workload", "show", T4, "terms", "--json").json
        shown = shown.get("workload", shown)["gpu"]
        return tuple(
            shown[each] for each in ("memory_bytes", "exclusive", "on_lost", "verify", "count")
        )

    assert terms("--gpu", "1") == (2 * 1024**3, True, "recreate", "if-possible", 1)
    assert terms("--gpu", "0", "--memory", "0", "--no-exclusive", "--verify") == (
        *(None, False, "recreate", "required", 1),
    )
    assert run(fleet, "workload", "rm", T4, "terms", "--yes").code == 0


def test_a_jetsons_gpu_by_its_own_word(fleet: Path) -> None:
    """`--help` names it, and the plan takes the one way that there is on a Jetson."""
    assert "igpu (a Jetson's own)" in " ".join(run(fleet, "container", "pin", "--help").out.split())
    orin = "plant-4-orin"
    pinned = run(
        fleet, "container", "pin", orin, "detector-0", "--gpu", "igpu", "--check", "--json"
    )
    [planned] = pinned.json["workloads"]
    assert planned["problems"] == []
    assert planned["gpu_way"] == "runtime"
    assert [each["index"] for each in planned["gpus"]] == [0]
