"""`roost snapshot` by files, and with a simulated node."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.snapshots.snapshot_file import write_snapshot
from tests.console.cli.commands import Done, roost
from tests.console.snapshots.made import applied, facts, gpu, image, snapshot

pytestmark = pytest.mark.timeout(60)


def files(folder: Path) -> tuple[Path, Path]:
    one, other = folder / "friday.snapshot", folder / "monday"
    before = snapshot(facts(gpus=[gpu()]), images=[image("app:1", 1)], workloads=[applied()])
    after = snapshot(facts(driver="580.65.06", gpus=[gpu()]), images=[image("app:1", 2)])
    write_snapshot(one, before)
    write_snapshot(other, after)
    return one, other


def test_two_files_without_any_fleet(tmp_path: Path) -> None:
    one, other = files(tmp_path)
    done = roost(tmp_path, "snapshot", "diff", one, other)
    assert (done.code, done.err) == (0, f"{one} becomes {other}\n")
    assert done.out.splitlines()[:4] == [
        "driver and GPUs (1)",
        "  ~ driver: 535.183.01 becomes 580.65.06",
        "workloads (1)",
        "  - web",
    ]
    told = roost(tmp_path, "snapshot", "diff", one, other, "--json", "--exit-code")
    assert told.code == 1
    assert [each["part"] for each in told.json["changes"]] == ["driver", "workloads", "images"]
    same = roost(tmp_path, "snapshot", "diff", one, one, "--exit-code")
    assert (same.code, same.out) == (0, "nothing differs\n")
    lost = roost(tmp_path, "snapshot", "diff", one, tmp_path / "lost.snapshot")
    assert (lost.code, "No such file" in lost.err) == (1, True)


def test_what_a_file_holds(tmp_path: Path) -> None:
    one, _ = files(tmp_path)
    lines = roost(tmp_path, "snapshot", "show", one).out.splitlines()
    assert lines[1].startswith("node      cam, ")
    assert "GPU 0     NVIDIA A10, 24 GiB" in lines
    assert "carries   no images, no models" in lines
    assert "workload  web: app:1, running" in lines
    assert roost(tmp_path, "snapshot", "show", one, "--json").json["node"] == "cam"


def test_a_simulated_node(tmp_path: Path, fleet: Path) -> None:
    def run(*words: str | Path) -> Done:
        return roost(tmp_path, "--fleet", fleet, "snapshot", *words)

    file = tmp_path / "t4.snapshot"
    done = run("take", "plant-1-t4", "-o", file, "--json")
    assert done.code == 0, done
    assert done.json["images"] > 0
    assert run("diff", file, "plant-1-t4", "--json").json["changes"] == []
    without = run("take", "plant-1-t4", "-o", tmp_path / "x", "--all-images")
    assert (without.code, "this node is simulated" in without.err) == (1, True)
    assert sorted(each.name for each in tmp_path.glob("*")) == ["fleet.yaml", "t4.snapshot"]

    nothing = run("restore", file, "--to", "plant-1-t4", "--check")
    assert (nothing.code, nothing.out) == (0, "  nothing to do\n")
    unasked = run("restore", file, "--to", "plant-1-t4")
    assert unasked.code != 0
    assert "nobody can be asked here" in unasked.err
    read_only = roost(
        tmp_path, "--fleet", fleet, "--read-only", "snapshot", "restore", file, "--to", "plant-1-t4"
    )
    assert (read_only.code, "read-only" in read_only.err) == (2, True)
    wrong = run("restore", file, "--to", "plant-1-t4", "--set", "web=1")
    assert "Write --set WORKLOAD.PLACE=VALUE:" in wrong.err
