"""`roost image ls|check|tag|rm|import` against simulated nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archives_made import docker_archive
from tests.console.cli.commands import ROOST, Done, environment, roost
from tests.console.images.pushing import made, noise
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(60)

T4, H200 = "plant-1-t4", "plant-1-h200"


def archive(folder: Path, tag: str, *layers: bytes, architecture: str = "amd64") -> Path:
    file = folder / f"{tag.rpartition('/')[2].replace(':', '-')}.tar"
    file.write_bytes(docker_archive([made(tag, *layers, architecture=architecture)]))
    return file


def push(home: Path, fleet: Path, file: Path, to: str) -> None:
    done = roost(home, "--fleet", fleet, "image", "push", file, "--to", to)
    assert done.code == 0, done


def image(home: Path, fleet: Path, *arguments: str | Path) -> Done:
    return roost(home, "--fleet", fleet, "image", *arguments)


def on_terminal(home: Path, fleet: Path, *arguments: str | Path) -> list[str]:
    """The lines of an 80x40 screen after the command."""
    command = [str(ROOST), "--fleet", str(fleet), "image", *map(str, arguments)]
    with Terminal(command, env=environment(home), lines=40) as terminal:
        terminal.wait_exit(30)
        return [line for line in terminal.screen_text().splitlines() if line]


def test_a_matrix_shows_what_differs_where(tmp_path: Path, fleet: Path) -> None:
    push(tmp_path, fleet, archive(tmp_path, "differs:1", noise("one", 9000)), f"@{T4}")
    push(tmp_path, fleet, archive(tmp_path, "differs:1", noise("two", 9000)), f"@{H200}")
    push(tmp_path, fleet, archive(tmp_path, "only:1", noise("only", 9000)), f"@{H200}")
    lines = on_terminal(tmp_path, fleet, "ls", f"@{T4},@{H200},@plant-1-offline")
    assert lines[0].split() == ["IMAGE", T4, H200, "plant-1-offline"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    here, there, offline = rows["differs:1"]
    assert here.rstrip("*") != there.rstrip("*")
    assert [here.endswith("*"), there.endswith("*")].count(True) == 1
    assert offline == "?"
    assert rows["only:1"][::2] == ["-", "?"]
    assert any("1 name with different images: differs:1" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_a_pipe_gets_the_list(tmp_path: Path, fleet: Path) -> None:
    push(tmp_path, fleet, archive(tmp_path, "listed:1", noise("listed", 9000)), f"@{T4},@{H200}")
    done = image(tmp_path, fleet, "ls", f"@{T4},@{H200}")
    assert done.code == 0
    [row] = [line.split() for line in done.out.splitlines() if line.startswith("listed:1")]
    assert row[-2:] == ["2/2", "all"]
    alone = image(tmp_path, fleet, "ls", f"@{T4}").out.splitlines()
    [row] = [line.split() for line in alone if line.startswith("listed:1")]
    assert row[-2:] == ["1/1", T4]
    used = [line for line in done.out.splitlines() if line.endswith("ingest")]
    assert used
    records = image(tmp_path, fleet, "ls", f"@{T4}", "--json").json
    assert {"listed:1"} <= {tag for record in records for tag in record["image"]["tags"]}
    matrix = image(tmp_path, fleet, "ls", f"@{T4},@{H200}", "--matrix")
    assert matrix.out.splitlines()[0].split() == ["IMAGE", T4, H200]
    assert image(tmp_path, fleet, "ls", "@plant-1-offline").code == 3


def test_check_is_readable_at_80_columns_and_changes_nothing(tmp_path: Path, fleet: Path) -> None:
    base = noise("checked base", 600_000)
    file = archive(tmp_path, "registry.example/a/rather/long/name/checked:1.0", base)
    lines = on_terminal(tmp_path, fleet, "check", file, "--to", "site in (plant-1,plant-4)")
    assert lines[0].split() == ["NODE", "IMAGE", "RUNS", "WOULD", "SEND", "NEED", "FREE"]
    assert all(len(line) <= 80 for line in lines)
    assert any("error: plant-4-orin: " in line for line in lines)
    assert any("the contents of 1 layer were not verified" in line for line in lines)
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert rows[T4][1:3] == ["runs", "load"]
    assert rows["plant-1-offline"][1:3] == ["-", "-"]
    done = image(tmp_path, fleet, "check", file, "--to", f"@{T4}")
    assert done.code == 0
    assert done.out.split()[9:13] == ["runs", "load", "590", "KiB"]
    assert "jobs" not in done.err
    push(tmp_path, fleet, file, f"@{T4}")
    again = image(tmp_path, fleet, "check", file, "--to", f"@{T4}", "--json")
    [record] = again.json
    assert [planned["state"] for planned in record["plan"]["images"]] == ["present"]
    assert record["plan"]["wanted"] == []
    newer = archive(tmp_path, "registry.example/a/rather/long/name/checked:1.0", base, base[:-512])
    shown = image(tmp_path, fleet, "check", newer, "--to", f"@{T4}")
    assert shown.out.splitlines()[0].split()[4] == "NOW"


def test_an_image_gets_a_name_and_loses_it(tmp_path: Path, fleet: Path) -> None:
    push(tmp_path, fleet, archive(tmp_path, "named:1", noise("named", 9000)), f"@{T4},@{H200}")
    both = ("--to", f"@{T4},@{H200}")
    done = image(tmp_path, fleet, "tag", "named:1", "named:stable", *both)
    assert done.code == 0, done.err
    assert [line.split()[:2] for line in done.out.splitlines()[1:]] == [
        [T4, "named:stable"],
        [H200, "named:stable"],
    ]
    done = image(tmp_path, fleet, "rm", "named:1", *both, "--json")
    assert done.code == 0
    assert [record["job"]["result"] for record in done.json] == [{"named:1": "tag removed"}] * 2
    done = image(tmp_path, fleet, "rm", "named:stable", "named:never", *both)
    assert done.code == 0
    assert "removed" in done.out
    assert "was not there" in done.out
    assert "named" not in image(tmp_path, fleet, "ls", f"@{T4}").out


def test_what_is_in_use_stays(tmp_path: Path, fleet: Path) -> None:
    listed = image(tmp_path, fleet, "ls", f"@{T4}", "--json").json
    used = next(r["image"]["tags"][0] for r in listed if r["image"]["containers"])
    done = image(tmp_path, fleet, "rm", used, "--to", f"@{T4}")
    assert done.code == 1
    assert f"error: {T4}: " in done.err
    assert [line.split() for line in done.out.splitlines()[1:]] == [[T4, used, "failed"]]
    assert image(tmp_path, fleet, "ls", f"@{T4}", "--json").json == listed
    # What went is not told as failed with it.
    push(tmp_path, fleet, archive(tmp_path, "went:1", noise("went", 9000)), f"@{T4}")
    done = image(tmp_path, fleet, "rm", used, "went:1", "--to", f"@{T4}")
    assert done.code == 1
    assert [line.split() for line in done.out.splitlines()[1:]] == [
        [T4, used, "failed"],
        [T4, "went:1", "removed"],
    ]
    unknown = image(tmp_path, fleet, "tag", "nobody:1", "other:1", "--to", f"@{T4}")
    assert unknown.code == 1
    assert "nobody:1" in unknown.err
    assert unknown.out.splitlines()[1].split() == [T4, "other:1", "failed"]


@pytest.mark.parametrize("verb", [("rm", "x:1"), ("tag", "x:1", "x:2")])
def test_production_is_asked_about(tmp_path: Path, fleet: Path, verb: tuple[str, ...]) -> None:
    done = image(tmp_path, fleet, *verb, "--to", "site=plant-2")
    assert (done.code, done.out) == (2, "")
    assert "plant-2-a10 is in production" in done.err
    refused = roost(tmp_path, "--read-only", "--fleet", fleet, "image", *verb, "--to", f"@{T4}")
    assert refused.code == 2


def test_a_simulated_node_has_no_media(tmp_path: Path, fleet: Path) -> None:
    done = image(tmp_path, fleet, "import", T4)
    assert (done.code, done.out) == (0, "")
    assert "nothing to show" in done.err
    done = image(tmp_path, fleet, "import", T4, "/media/usb/app.tar")
    assert done.code == 1
    assert "simulated" in done.err


def test_a_name_of_an_image_is_no_archive(tmp_path: Path, fleet: Path) -> None:
    for words in (
        ("bundle", "make", "-o", tmp_path / "out.bundle", "plant/app:1"),
        ("image", "push", "plant/app:1", "--to", f"@{T4}"),
    ):
        done = roost(tmp_path, "--fleet", fleet, *words)
        assert done.code != 0
        assert "error: plant/app:1: there is no such file. Images come from archives" in done.err
        assert "docker save -o image.tar plant/app:1" in done.err


def test_an_archive_for_another_cpu_is_told_once(tmp_path: Path, fleet: Path) -> None:
    file = archive(tmp_path, "arm:1", noise("arm", 9000), architecture="arm64")
    done = image(tmp_path, fleet, "check", file, "--to", f"@{T4}")
    assert done.code == 1
    assert [line for line in done.err.splitlines() if "arm64" in line] == [
        f"error: {T4}: {file}: arm:1 is for linux/arm64, the node is linux/amd64"
    ]
    assert "--via-site works" not in done.err
