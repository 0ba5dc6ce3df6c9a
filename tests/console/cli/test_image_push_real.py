"""`roost image push` to a real agent over a real Docker Engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.archives_made import Made, docker_archive, layer
from tests.console.cli.commands import ROOST, Done, environment, roost, write_fleet
from tests.console.images.cutting import cutting_link
from tests.console.images.pushing import MIB, noise
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

BASE = [layer("base", 300_000), layer("libs", 200_000)]


def archive(folder: Path, *layers: bytes, tag: str = "app:1") -> Path:
    file = folder / f"{tag.replace(':', '-')}.tar"
    file.write_bytes(docker_archive([Made(list(layers), tags=[tag])]))
    return file


@pytest.fixture
def clean_engine(docker_engine: DockerEngine) -> Iterator[DockerEngine]:
    yield docker_engine
    docker_engine.clear_images()


def push(home: Path, fleet: Path, *files: Path, more: tuple[str, ...] = ()) -> Done:
    return roost(home, "--fleet", fleet, "image", "push", *files, "--to", "@dock", "--json", *more)


def test_only_the_new_layer_is_sent(
    clean_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    first = push(tmp_path, docker_fleet, archive(tmp_path, *BASE, layer("one", 100_000)))
    assert first.code == 0, first
    [record] = first.json
    assert record["result"] == "done"
    assert record["sent_bytes"] == sum(map(len, [*BASE, layer("one", 100_000)]))
    before = clean_engine.docker("inspect", "--format", "{{.Id}}", "app:1")
    assert record["images"] == {"app:1": before}

    second = push(tmp_path, docker_fleet, archive(tmp_path, *BASE, layer("two", 90_000)))
    assert second.code == 0, second
    assert second.json[0]["sent_bytes"] == len(layer("two", 90_000))
    after = clean_engine.docker("inspect", "--format", "{{.Id}}", "app:1")
    assert after != before
    assert clean_engine.docker("images", "--quiet", "roost.local/staging") == ""

    again = push(tmp_path, docker_fleet, archive(tmp_path, *BASE, layer("two", 90_000)))
    assert (again.json[0]["sent_bytes"], again.json[0]["job"]) == (0, None)


async def test_an_agent_that_is_killed_and_comes_back(
    clean_engine: DockerEngine, short_folder: Path, tmp_path: Path
) -> None:
    """Twice, while layers come: the same command goes on, and nothing acknowledged goes twice."""
    layers = [noise("first", 4 * MIB), noise("second", 4 * MIB)]
    payload = sum(map(len, layers))
    file = archive(tmp_path, *layers)
    agent = AgentProcess(short_folder, {"runtime": clean_engine.url})
    entry = NodeEntry(name="dock", address=f"unix://{short_folder}/link.sock")
    fleet = write_fleet(tmp_path / "fleet.yaml", [entry])
    command = (f"--fleet={fleet}", "image", "push", str(file), "--to=@dock", "--limit=4MB/s")
    try:
        await asyncio.to_thread(agent.start)
        async with cutting_link(short_folder / "link.sock", agent.sockets["operator"]) as link:
            running = await asyncio.create_subprocess_exec(
                ROOST,
                *command,
                "--json",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment(tmp_path),
            )
            for part in (1, 2):
                await link.reached(part * payload // 3)
                await asyncio.to_thread(agent.close)  # SIGKILL
                await asyncio.to_thread(agent.start)
            out, err = await running.communicate()
        assert running.returncode == 0, err
        [record] = json.loads(out)
        assert record["result"] == "done"
        # Of what came, an agent that is killed may lose a second's worth or 16 MiB: it was not
        # acknowledged.
        assert link.up_bytes <= payload + 2 * 4_000_000 + 2 * MIB
        image = await asyncio.to_thread(
            clean_engine.docker, "inspect", "--format", "{{.Id}}", "app:1"
        )
        assert record["images"] == {"app:1": image}
        [job] = await asyncio.to_thread(agent.get, "/v1/jobs")
        assert (job["state"], job["id"]) == ("succeeded", record["job"])
    finally:
        await asyncio.to_thread(agent.close)


def test_an_archive_on_the_node_is_loaded_from_there(
    clean_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    file = archive(tmp_path, *BASE, tag="stick:1")
    done = roost(tmp_path, "--fleet", docker_fleet, "image", "import", "dock", file)
    assert done.code == 0, done.err
    image = clean_engine.docker("inspect", "--format", "{{.Id}}", "stick:1")
    assert done.out == f"dock  stick:1  {image}\n"
    assert done.err.startswith("dock: ")
    gone = roost(tmp_path, "--fleet", docker_fleet, "image", "import", "dock", tmp_path / "no.tar")
    assert gone.code == 1
    assert "no.tar" in gone.err
    relative = roost(tmp_path, "--fleet", docker_fleet, "image", "import", "dock", "no.tar")
    assert relative.code == 1
    assert "whole path" in relative.err


def test_names_come_and_go_and_used_images_stay(
    clean_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    assert push(tmp_path, docker_fleet, archive(tmp_path, *BASE)).code == 0
    verb = ("--fleet", docker_fleet, "image")
    tagged = roost(tmp_path, *verb, "tag", "app:1", "app:stable", "--to", "@dock")
    assert tagged.code == 0, tagged.err
    listed = roost(tmp_path, *verb, "ls", "--json").json
    [tags] = [each["image"]["tags"] for each in listed if "app:1" in each["image"]["tags"]]
    assert sorted(tags) == ["app:1", "app:stable"]
    clean_engine.docker("create", "--name", "holds", "app:1", "sh")
    removed = roost(tmp_path, *verb, "rm", "app:stable", "--to", "@dock")
    assert removed.code == 0, removed.err
    refused = roost(tmp_path, *verb, "rm", "app:1", "--to", "@dock")
    assert refused.code == 1
    assert "holds" in refused.err
    assert clean_engine.docker("images", "--quiet", "app:1") != ""
