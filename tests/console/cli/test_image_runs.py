"""`roost image check`: whether images can run on simulated nodes, asked and not to be asked."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.protocol.compatibility import Found
from console.fleet.cache import PictureCache
from console.fleet.fleet_file import load_inventory
from console.fleet.picture import NodeView
from tests.archives_made import Made, docker_archive, tar
from tests.compat_library import library, note
from tests.console.cli.commands import Done, environment, roost

pytestmark = pytest.mark.timeout(60)

T4, A10, H200, ORIN = "plant-1-t4", "plant-2-a10", "plant-1-h200", "plant-4-orin"
OFFLINE = "plant-1-offline"
LIBRARY = "usr/local/cuda-12.9/compat/libcuda.so.575.57.08"


def archive(folder: Path, tag: str, *, cuda: str, compat: bool = False) -> Path:
    """An image that says which CUDA it is made for."""
    files = {"srv/app": tag.encode()}
    if compat:
        files[LIBRARY] = library(note())
    image = Made([tar(files)], tags=[tag])
    words = msgspec.json.decode(image.config)
    words["config"]["Env"] = [f"CUDA_VERSION={cuda}", "NVIDIA_REQUIRE_CUDA=cuda>=9.0"]
    image.config = msgspec.json.encode(words)
    file = folder / f"{tag.replace(':', '-')}.tar"
    file.write_bytes(docker_archive([image]))
    return file


def image(home: Path, fleet: Path, *arguments: str | Path) -> Done:
    return roost(home, "--fleet", fleet, "image", *arguments)


def column(done: Done, title: str) -> dict[str, str]:
    """By node."""
    head, *lines = done.out.split("\n\n")[0].splitlines()
    at = head.index(title)
    return {line.split()[0]: line[at:].split("  ")[0] for line in lines}


def records(done: Done) -> dict[str, Any]:
    return {record["node"]: record for record in done.json}


def test_an_archive_is_judged_before_it_is_sent(tmp_path: Path, fleet: Path) -> None:
    file = archive(tmp_path, "runs:1", cuda="12.9.1")
    to = ("--to", f"@{T4},@{A10},@{H200},@{ORIN}")
    done = image(tmp_path, fleet, "check", file, *to)
    assert done.code == 1
    assert column(done, "RUNS") == {T4: "cannot", A10: "warns", H200: "runs", ORIN: "cannot"}
    assert f"cannot run: {T4}: runs:1: Driver 470.256.02 is too old for CUDA 12.9" in done.err
    assert "hint: Driver 525.60.13 or newer" in done.err
    assert f"warning: {A10}: runs:1: Driver 535.183.01 is older than" in done.err
    assert "linux/amd64, the node is linux/arm64" in done.err
    assert f"cannot run: {ORIN}" not in done.err  # it is told once, as no image for that CPU
    assert image(tmp_path, fleet, "check", file, "--to", f"@{H200}").code == 0


def test_the_compatibility_library_in_a_layer_counts(tmp_path: Path, fleet: Path) -> None:
    """On a data-center GPU, and only above the driver branches that its note names."""
    file = archive(tmp_path, "compat:1", cuda="12.9.1", compat=True)
    done = image(tmp_path, fleet, "check", file, "--to", f"@{T4},@{A10}", "--json")
    found = records(done)
    [here], [there] = found[A10]["runs"], found[T4]["runs"]
    assert here["verdict"]["ability"] == "runs"
    assert here["needs"]["compat"]["driver_version"] == "575.57.08"
    assert there["verdict"]["ability"] == "fails"
    assert [gpu["ability"] for gpu in there["verdict"]["gpus"]] == ["fails", "fails"]
    assert there["verdict"]["needs_driver"] == "525.60.13"
    assert found[T4]["plan"]["images"][0]["tags"] == ["compat:1"]


def test_a_line_for_each_gpu(tmp_path: Path, fleet: Path) -> None:
    file = archive(tmp_path, "wide:1", cuda="11.4.0")
    done = image(tmp_path, fleet, "check", file, "--to", f"@{T4},@{H200}", "--wide")
    gpus = done.out.split("\n\n")[1].splitlines()
    assert gpus[0].split() == ["NODE", "IMAGE", "GPU", "NAME", "RUNS", "WHY"]
    assert [line.split()[:3] for line in gpus[1:3]] == [[T4, "wide:1", "0"], [T4, "wide:1", "1"]]
    assert "cannot" in gpus[3]  # CUDA 11.4 has no code for Hopper
    assert done.code == 1


def test_a_push_warns_and_goes_on(tmp_path: Path, fleet: Path) -> None:
    file = archive(tmp_path, "warned:1", cuda="13.0.1")
    done = image(tmp_path, fleet, "push", file, "--to", f"@{T4}", "--json")
    assert done.code == 0
    assert f"warning: {T4}: cannot run warned:1: Driver 470.256.02 is too old" in done.err
    [record] = done.json
    assert record["result"] == "done"
    assert len(record["warnings"]) == 1


def test_an_image_that_nodes_have(tmp_path: Path, fleet: Path) -> None:
    """Also on those that lack it: one that has it is asked what it needs."""
    file = archive(tmp_path, "held:1", cuda="12.9.1")
    assert image(tmp_path, fleet, "push", file, "--to", f"@{H200}").code == 0
    done = image(tmp_path, fleet, "check", "held:1", "--to", f"@{T4},@{A10},@{H200}")
    assert done.code == 1
    assert column(done, "RUNS") == {T4: "cannot", A10: "warns", H200: "runs"}
    has = column(done, "HAS IT")
    assert (has[T4], has[A10]) == ("no", "no")
    assert len(has[H200]) == 12
    # Nobody of those has it, so the others are asked.
    other = image(tmp_path, fleet, "check", "held:1", "--to", f"@{T4}", "--json")
    [record] = other.json
    assert (record["has"], record["runs"][0]["needs"]["cuda"]["version"]) == ([], "12.9.1")
    nobody = image(tmp_path, fleet, "check", "nobody:1", "--to", f"@{T4}")
    assert (nobody.code, nobody.out) == (1, "")
    assert "none of the" in nobody.err
    both = image(tmp_path, fleet, "check", "held:1", file, "--to", f"@{T4}")
    assert both.code == 2
    assert "held:1 is no file" in both.err
    missing = image(tmp_path, fleet, "check", "missing.tar", "--to", f"@{T4}")
    assert missing.code == 1
    assert "missing.tar" in missing.err
    assert "No such file" in missing.err


async def test_a_node_that_does_not_answer(tmp_path: Path, fleet: Path) -> None:
    """It is judged by what it said last, and its age is told."""
    entries = {entry.name: entry for entry in load_inventory(fleet).nodes}
    said = roost(tmp_path, "--fleet", fleet, "node", "show", A10, "--json").json["facts"]
    view = NodeView(entries[OFFLINE])
    view.sections = {"facts": {"": {**said, "name": OFFLINE}}}
    view.seen_at = time.time() - 3 * 3600 - 60
    cache = PictureCache.of_fleet(fleet, environment(tmp_path))
    await cache.save({OFFLINE: view})
    file = archive(tmp_path, "late:1", cuda="12.9.1")
    done = image(tmp_path, fleet, "check", file, "--to", f"@{OFFLINE},@{H200}")
    assert column(done, "RUNS") == {OFFLINE: "warns (as of 3h ago)", H200: "runs"}
    assert done.code == 1
    assert f"error: {OFFLINE}: " in done.err
    record = records(image(tmp_path, fleet, "check", file, "--to", f"@{OFFLINE}", "--json"))
    assert record[OFFLINE]["runs"][0]["seen_at"] == pytest.approx(view.seen_at)


def test_rows_of_the_operator(tmp_path: Path, fleet: Path) -> None:
    """compatibility.json beside fleet.yaml."""
    file = archive(tmp_path, "tables:1", cuda="12.9.1")
    rows = [{"cuda": "12", "driver": "470.1", "source": "our own tests"}]
    tables = fleet.parent / "compatibility.json"
    tables.write_text(json.dumps({"driver_floors": rows}))
    done = image(tmp_path, fleet, "check", file, "--to", f"@{T4}")
    assert column(done, "RUNS")[T4] == "warns"
    tables.write_text("{")
    broken = image(tmp_path, fleet, "check", file, "--to", f"@{T4}")
    assert broken.code != 0
    assert f"{tables}, line 1" in broken.err


def test_what_is_found_is_told_as_json(tmp_path: Path, fleet: Path) -> None:
    file = archive(tmp_path, "found:1", cuda="12.9.1")
    [record] = image(tmp_path, fleet, "check", file, "--to", f"@{H200}", "--json").json
    [judged] = record["runs"]
    assert msgspec.convert(judged["needs"]["cuda"], Found) == Found(
        version="12.9.1", where="env CUDA_VERSION"
    )
    assert judged["needs"]["looked_inside"] is True


def test_which_driver_nodes_would_need(tmp_path: Path, fleet: Path) -> None:
    file = archive(tmp_path, "drivers:1", cuda="12.9.1")
    to = ("--to", f"@{T4},@{H200},@{ORIN}", "--drivers")
    done = image(tmp_path, fleet, "check", file, *to)
    table = done.out.split("\n\n")[1].splitlines()
    assert table[0].split() == ["NODE", "DRIVER", "NOW", "NEEDS", "BRANCH", "THEN"]
    rows = {line.split()[0]: line for line in table[1:]}
    assert rows[T4].split()[1:4] == ["470.256.02", "525.60.13", "R580,"]
    assert "drivers:1 warns" in rows[T4]
    assert rows[H200].split()[2] == "none"
    assert "The image is for amd64 CPUs" in rows[ORIN]
    assert image(tmp_path, fleet, "push", file, "--to", f"@{H200}").code == 0
    named = image(tmp_path, fleet, "check", "drivers:1", *to)
    assert named.out.split("\n\n")[1].splitlines()[1].split()[:3] == table[1].split()[:3]
