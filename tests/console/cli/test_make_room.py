"""Images that are in the way: nothing is removed without a word, given before."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.containers.images_results import ImageUsage
from agent.images.space import SPARE_BYTES, DiskFree
from agent.protocol.node import RuntimeFacts
from console.fleet.inventory import NodeEntry
from tests.agent.doubles import FixedRuntime
from tests.archives_made import docker_archive
from tests.console.cli.commands import ROOST, Done, environment, roost_beside, write_fleet
from tests.console.images.pushing import image_agent, image_named, made, noise
from tests.console.serving import ServedAgent
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(120)

ROOST_AGENT = Path(sys.executable).with_name("roost-agent")
GONE = "to make room, removed image spare:1"
ASKED = "Remove 1 image?"


class Tight:
    """A node with a disk on which `spare:1` is in the way of any other image, and a roomy one."""

    def __init__(self, home: Path, agent: ServedAgent, folder: Path) -> None:
        self.home, self.agent, self.folder = home, agent, folder
        self.new = self.archive("new:1")

    def archive(self, tag: str, size: int = 60_000) -> Path:
        file = self.home / f"{tag.replace(':', '-')}.tar"
        file.write_bytes(docker_archive([made(tag, noise(tag, size))]))
        return file

    async def fill(self) -> None:
        """Load the image, and have the disk be full as long as it is there."""
        assert (
            await self.roost("image", "push", self.archive("spare:1", 600_000), "--to", "@full")
        ).code == 0
        spare = await image_named(self.agent, "spare:1")
        assert spare is not None
        images, runtime = self.agent.node.images, self.agent.node.runtime
        assert isinstance(runtime, FixedRuntime)
        for blob in images.blobs.list():
            images.blobs.remove(blob.diff_id)

        async def facts() -> RuntimeFacts:
            return RuntimeFacts(
                state="ok", name="Docker Engine", image_store="graphdriver", root_dir="/images"
            )

        async def usage() -> ImageUsage:
            return ImageUsage(
                alone_bytes={one.id: one.size_bytes for one in await runtime.images()}
            )

        def free(_: Path) -> DiskFree:
            return DiskFree(1, SPARE_BYTES + (0 if spare.id in runtime._images else 10**9))

        runtime.facts, runtime.image_usage = facts, usage  # type: ignore[method-assign] # a stand-in
        images._space._free = free

    async def roost(self, *arguments: str | Path) -> Done:
        return await roost_beside(self.home, "--fleet", self.home / "fleet.yaml", *arguments)

    async def push(self, *more: str | Path) -> Done:
        return await self.roost("image", "push", self.new, "--to", "@full", *more)

    async def on_terminal(self, *command: str | Path, asked: str, answer: str) -> tuple[int, str]:
        """The exit code, and all that was shown."""

        def watch() -> tuple[int, str]:
            with Terminal(list(map(str, command)), env=environment(self.home)) as terminal:
                terminal.wait_for(asked, 60)
                terminal.send(answer)
                terminal.press("enter")
                return terminal.wait_exit(60), terminal.screen_text()

        return await asyncio.to_thread(watch)

    async def roost_on_terminal(self, *arguments: str | Path, answer: str) -> tuple[int, str]:
        command = (ROOST, "--fleet", self.home / "fleet.yaml", *arguments)
        return await self.on_terminal(*command, asked=ASKED, answer=answer)

    async def has(self, tag: str) -> bool:
        return await image_named(self.agent, tag) is not None


@pytest.fixture
async def tight(short_folder: Path, tmp_path: Path) -> AsyncIterator[Tight]:
    full, roomy = short_folder / "full", short_folder / "roomy"
    full.mkdir()
    roomy.mkdir()
    async with image_agent(full) as agent, image_agent(roomy) as other:
        entries = [
            NodeEntry(name=name, address=f"unix://{each.socket}")
            for name, each in (("full", agent), ("roomy", other))
        ]
        write_fleet(tmp_path / "fleet.yaml", entries)
        made_tight = Tight(tmp_path, agent, full)
        await made_tight.fill()
        yield made_tight


@pytest.mark.parametrize("more", [(), ("--yes",)])
async def test_where_nobody_is_asked_no_image_goes(tight: Tight, more: tuple[str, ...]) -> None:
    done = await tight.push(*more)
    assert done.code == 1
    assert "removing 1 image would make room: spare:1 (" in done.err
    assert "--make-room" in done.err
    assert await tight.has("spare:1")


async def test_the_option_is_the_word(tight: Tight) -> None:
    done = await tight.push("--make-room")
    assert (done.code, GONE in done.err) == (0, True)
    assert not await tight.has("spare:1")


async def test_a_check_shows_both(tight: Tight) -> None:
    check = ("image", "check", tight.new, "--to", "@full")
    without, given = await tight.roost(*check), await tight.roost(*check, "--make-room")
    assert without.code == 1
    assert "refused" in without.out
    assert "full: with --make-room, would remove image spare:1" in without.err
    assert given.code == 0
    assert "load" in given.out
    assert "full: would remove image spare:1" in given.err
    assert "error" not in given.err
    assert await tight.has("spare:1")


async def test_on_a_terminal_it_is_asked_once_and_no_is_the_default(tight: Tight) -> None:
    push = ("image", "push", tight.new, "--to", "@full,@roomy")
    code, shown = await tight.roost_on_terminal(*push, answer="")
    assert code == 1
    assert "full: spare:1 (" in shown
    assert "There is room on full only without 1 image (" in shown
    assert "roomy:" not in shown
    assert "roomy  done" in shown  # who has room is not held up
    assert "full   failed" in shown
    assert await tight.has("spare:1")
    code, shown = await tight.roost_on_terminal(*push, answer="y")
    assert code == 0, shown
    assert shown.count("Remove") == 1
    assert f"full: {GONE}" in shown
    assert not await tight.has("spare:1")


async def test_an_import_asks_when_the_node_has_found_no_room(tight: Tight) -> None:
    command = ("image", "import", "full", tight.new)
    alone = await tight.roost(*command)
    assert alone.code == 1
    assert "--make-room" in alone.err
    code, shown = await tight.roost_on_terminal(*command, answer="")
    assert code == 1
    assert "used by nothing: spare:1" in " ".join(shown.split())
    assert await tight.has("spare:1")
    code, shown = await tight.roost_on_terminal(*command, answer="y")
    assert code == 0, shown
    assert "full: made room: removed image spare:1" in shown
    assert "full  new:1" in shown
    assert not await tight.has("spare:1")


async def test_an_import_with_the_word(tight: Tight) -> None:
    done = await tight.roost("image", "import", "full", tight.new, "--make-room")
    assert (done.code, "made room: removed image spare:1" in done.err) == (0, True)


async def test_an_import_with_no_console_asks_too(tight: Tight) -> None:
    settings = tight.home / "agent.yaml"
    settings.write_text(
        f"name: full\nstate: {tight.folder}/state\noperator_socket: {tight.agent.socket}\n"
    )
    command = (ROOST_AGENT, "bundle", "import", tight.new, "--config", settings)
    code, shown = await tight.on_terminal(*command, asked=ASKED, answer="n")
    assert code == 1
    assert "removing 1 image would make room" in " ".join(shown.split())
    assert await tight.has("spare:1")
    code, shown = await tight.on_terminal(*command, asked=ASKED, answer="y")
    assert code == 0, shown
    assert "new:1  sha256:" in shown
    assert not await tight.has("spare:1")
    assert await tight.has("new:1")
