"""Two people push the same archive to the same node at the same time, over a real Docker Engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.archives_made import Made, docker_archive
from tests.console.cli.commands import ROOST, environment, write_fleet
from tests.console.images.cutting import CuttingLink, cutting_link
from tests.console.images.pushing import MIB, noise
from tests.real.docker_engine import DockerEngine

pytestmark = pytest.mark.real

LAYERS = [noise(f"layer {number}", 2 * MIB) for number in range(3)]
PAYLOAD = sum(map(len, LAYERS))
# What the one who is told to wait had sent by then.
REFUSED = 2 * MIB


class Console:
    """One person with a home, an archive and a link of their own."""

    def __init__(self, home: Path, link: CuttingLink, socket: Path) -> None:
        home.mkdir()
        self.link, self._home = link, home
        self._archive = home / "app.tar"
        self._archive.write_bytes(docker_archive([Made(LAYERS, tags=["app:1"])]))
        entry = NodeEntry(name="dock", address=f"unix://{socket}")
        self._fleet = write_fleet(home / "fleet.yaml", [entry])

    async def push(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            ROOST,
            f"--fleet={self._fleet}",
            *("image", "push", self._archive, "--to=@dock", "--limit=1MB/s", "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(self._home),
        )


@asynccontextmanager
async def consoles(
    agent: AgentProcess, folder: Path, homes: Path
) -> AsyncIterator[tuple[Console, Console]]:
    first, second = folder / "first.sock", folder / "second.sock"
    there = agent.sockets["operator"]
    async with cutting_link(first, there) as one, cutting_link(second, there) as other:
        yield Console(homes / "maria", one, first), Console(homes / "paul", other, second)


@pytest.fixture
async def agent(docker_engine: DockerEngine, short_folder: Path) -> AsyncIterator[AgentProcess]:
    made = AgentProcess(short_folder, {"runtime": docker_engine.url})
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.close)
    await asyncio.to_thread(docker_engine.clear_images)


async def ended_well(running: asyncio.subprocess.Process) -> dict[str, object]:
    out, err = await running.communicate()
    assert running.returncode == 0, err
    [record] = json.loads(out)
    return dict(record)


async def image_id(engine: DockerEngine) -> str:
    return await asyncio.to_thread(engine.docker, "inspect", "--format", "{{.Id}}", "app:1")


async def test_both_are_told_the_same(
    agent: AgentProcess, docker_engine: DockerEngine, short_folder: Path, tmp_path: Path
) -> None:
    async with consoles(agent, short_folder, tmp_path) as (maria, paul):
        first = await maria.push()
        await maria.link.reached(1)
        second = await paul.push()
        records = await asyncio.gather(ended_well(first), ended_well(second))
        sent = maria.link.up_bytes + paul.link.up_bytes
    assert records[0]["images"] == {"app:1": await image_id(docker_engine)}
    assert records[0]["result"] == "done"
    if records[1]["result"] == "done":  # and not so late that it was there
        assert records[1]["job"] == records[0]["job"]
        assert records[1]["images"] == records[0]["images"]
    assert PAYLOAD <= sent <= PAYLOAD + REFUSED
    [job] = await asyncio.to_thread(agent.get, "/v1/jobs")
    assert (job["state"], job["id"]) == ("succeeded", records[0]["job"])


async def test_one_goes_silent_and_is_killed_and_the_other_takes_over(
    agent: AgentProcess, docker_engine: DockerEngine, short_folder: Path, tmp_path: Path
) -> None:
    async with consoles(agent, short_folder, tmp_path) as (maria, paul):
        # From there on, whatever she sends gets nowhere.
        maria.link.stalls = [PAYLOAD // 4] * 100
        first = await maria.push()
        await maria.link.reached(PAYLOAD // 4)
        second = await paul.push()
        await paul.link.reached(1)
        first.kill()
        await first.communicate()
        record = await ended_well(second)
        sent = maria.link.up_bytes + paul.link.up_bytes
    assert record["result"] == "done"
    assert record["images"] == {"app:1": await image_id(docker_engine)}
    assert sent <= PAYLOAD + REFUSED
    [job] = await asyncio.to_thread(agent.get, "/v1/jobs")
    assert (job["state"], job["id"]) == ("succeeded", record["job"])
    uploads = agent.folder / "state" / "uploads"
    assert {path.suffix for path in uploads.iterdir()} <= {".json"}
