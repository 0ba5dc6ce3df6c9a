"""The agent's image, and what is said of a host that shall run it; no runtime is asked."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.protocol.problems import CODES, ProblemError
from console.kits.agent_image import AgentImage, make_agent_image, read_agent_image
from console.kits.contained import HostFacts, Room, judged
from console.kits.hosts import HostLook
from console.kits.reading import read_kit
from tests.archives_made import Made, docker_archive, tar
from tests.kits_made import small_kit

GB = 1 << 30
LOOK = HostLook(arch="x86_64", user="field", root=False, sudo=True, python=True)
IMAGE = AgentImage(
    path=Path("agent.tar.gz"),
    tag="roost/agent:1.1.0-abc",
    kit="1.1.0-abc",
    version="1.1.0",
    arch="x86_64",
    diff_ids=["sha256:aa", "sha256:bb"],
    size_bytes=50_000_000,
    unpacked_bytes=150_000_000,
    sha256="00",
)
BARE = HostFacts(
    os="Ubuntu 20.04",
    driver="",
    python="3.8",
    cli="docker",
    systemd=True,
    root=True,
    group=False,
    refuses="",
    groups=True,
    joins=True,
    absent=["/etc/roost", "/etc/roost/agent.yaml"],
    rooms=[
        Room(place="/opt/roost", filesystem="/dev/a", free_bytes=GB, writable=True),
        Room(place="/var/lib/roost", filesystem="/dev/a", free_bytes=GB, writable=True),
        Room(place="/var/lib/docker", filesystem="/dev/b", free_bytes=GB, writable=True),
    ],
    layers="",
    version="",
    kit="",
    name_taken=False,
    needs_systemd=False,
    contained=False,
    line="docker run --rm roost/agent:1.1.0-abc",
)


def told(**changes: Any) -> list[str]:
    """The codes of what stands in the way."""
    facts = msgspec.structs.replace(BARE, **changes)
    problems = judged(facts, IMAGE, LOOK, why="no Python").problems
    assert all(each.hint and each.code in CODES for each in problems)
    return [each.code for each in problems]


def test_the_plan_says_why_and_with_which_line() -> None:
    plan = judged(BARE, IMAGE, LOOK, why="no Python of 3.10 is here").plan
    assert plan[0] == (
        "Python 3.8 is too old: the agent will run as a container of roost/agent:1.1.0-abc"
    )
    assert plan[-1] == BARE.line
    assert "let field use the agent: into the group roost" in plan
    assert any(line.startswith("copy the image, 48 MiB") for line in plan)
    without = msgspec.structs.replace(BARE, python="")
    assert (
        judged(without, IMAGE, LOOK, why="there is no python3 there")
        .plan[0]
        .startswith("there is no python3 there: the agent will run")
    )


def test_what_is_there_already_is_not_done_again() -> None:
    facts = msgspec.structs.replace(
        BARE,
        layers="sha256:aa sha256:bb",
        version="1.1.0",
        kit="1.1.0-abc",
        contained=True,
        absent=[],
        group=True,
        joins=False,
    )
    checked = judged(facts, IMAGE, LOOK, why="it runs in a container there")
    assert checked.problems == []
    assert checked.plan[1:] == [
        "agent 1.1.0 is there already",
        "start it as roost-agent.service, now and at every boot",
        BARE.line,
    ]


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"cli": ""}, ["kit.runtime"]),
        ({"refuses": "Error: no storage"}, ["kit.runtime"]),
        ({"needs_systemd": True}, ["kit.service"]),
        ({"name_taken": True}, ["kit.name"]),
        ({"groups": False}, ["kit.group"]),
        ({"groups": False, "group": True}, []),
        ({"kit": "1.0.0-abc", "version": "1.0.0"}, ["kit.way"]),
        ({"kit": "1.0.0-abc", "version": "1.0.0", "contained": True}, ["kit.way"]),
        ({"kit": "1.10.0-abc", "version": "1.10.0", "contained": True}, ["kit.older"]),
    ],
)
def test_what_is_there_decides(changes: dict[str, Any], codes: list[str]) -> None:
    assert told(**changes) == codes


def test_room_is_counted_by_filesystem() -> None:
    def rooms(first: int, second: int, *, apart: bool, writable: bool = True) -> list[Room]:
        return [
            Room(place="/opt/roost", filesystem="a", free_bytes=first, writable=writable),
            Room(place="/var/lib/roost", filesystem="a", free_bytes=first, writable=True),
            Room(
                place="/var/lib/docker",
                filesystem="b" if apart else "a",
                free_bytes=second,
                writable=True,
            ),
        ]

    enough = 500 << 20
    assert told(rooms=rooms(enough, enough, apart=True)) == []
    assert told(rooms=rooms(enough, enough, apart=False)) == ["kit.no_space"]
    assert told(rooms=rooms(GB, 1 << 20, apart=True)) == ["kit.no_space"]
    assert told(rooms=rooms(GB, GB, apart=True, writable=False)) == ["kit.read_only"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.tar"
    path.write_bytes(docker_archive([Made([tar({"usr/bin/python3": b""})])]))
    return path


def test_an_image_is_the_base_with_the_kit_on_top(tmp_path: Path, base: Path) -> None:
    kit = read_kit(small_kit(tmp_path, arch="x86_64"))
    made = make_agent_image(kit, base, tmp_path / "out")
    assert made == read_agent_image(made.path)
    assert (made.kit, made.version, made.arch) == ("1.0.0-abc", "1.0.0", "x86_64")
    index = index_archive(made.path)
    (image,) = index.images
    assert image.diff_ids[:-1] == index_archive(base).images[0].diff_ids
    with open_layer(index, image.diff_ids[-1]) as layer:
        data = b"".join(iter(lambda: layer.read(1 << 16), b""))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        inside = tar.extractfile("kit.pyz")
        assert inside is not None
        assert inside.read() == kit.path.read_bytes()
    config = json.loads(image.config)["config"]
    assert config["Entrypoint"] == ["python3", "-IS", "/kit.pyz"]
    assert config["Cmd"] == ["contained"]
    assert "User" not in config
    assert make_agent_image(kit, base, tmp_path / "again").sha256 == made.sha256


def test_another_image_is_none_of_the_agent(base: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        read_agent_image(base)
    assert caught.value.code == "kit.image"
