"""`roost image push` to agents over links that a test can cut, and to simulated nodes."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from console.fleet.inventory import NodeEntry
from tests.archives_made import docker_archive
from tests.console.cli.commands import ROOST, Done, environment, roost, roost_beside, write_fleet
from tests.console.images.cutting import CuttingLink, cutting_link
from tests.console.images.pushing import MIB, image_agent, image_named, made, noise
from tests.console.serving import ServedAgent
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(60)

SMALL = [noise("small base", 60_000), noise("small app", 40_000)]


def archive(folder: Path, tag: str, *layers: bytes, architecture: str = "amd64") -> Path:
    file = folder / f"{tag.replace(':', '-')}.tar"
    file.write_bytes(docker_archive([made(tag, *layers, architecture=architecture)]))
    return file


class Site:
    """One agent behind a link, and `roost` in front of it."""

    def __init__(self, home: Path, agent: ServedAgent, link: CuttingLink) -> None:
        self.home, self.agent, self.link = home, agent, link

    async def roost(self, *arguments: str | Path) -> Done:
        return await roost_beside(self.home, "--fleet", self.home / "fleet.yaml", *arguments)

    async def begin(self, *arguments: str | Path) -> Process:
        return await asyncio.create_subprocess_exec(
            ROOST,
            "--fleet",
            self.home / "fleet.yaml",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=environment(self.home),
        )


@pytest.fixture
async def site(short_folder: Path, tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        image_agent(short_folder) as agent,
        cutting_link(short_folder / "link.sock", agent.socket) as link,
    ):
        entry = NodeEntry(name="far", address=f"unix://{short_folder}/link.sock")
        write_fleet(tmp_path / "fleet.yaml", [entry])
        yield Site(tmp_path, agent, link)


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
async def test_a_console_that_is_ended_goes_on_where_it_was(
    site: Site, tmp_path: Path, way: signal.Signals
) -> None:
    layers = [noise(f"layer {n}", 2 * MIB) for n in range(3)]
    payload = sum(map(len, layers))
    push = ("image", "push", archive(tmp_path, "app:1", *layers), "--to", "@far")
    for part in (1, 2):
        running = await site.begin(*push, "--limit", "3MB/s")
        await site.link.reached(part * payload // 3)
        running.send_signal(way)
        out, err = await running.communicate()
        assert out == b""
        if way == signal.SIGINT:
            assert running.returncode == 130
            assert b"stopped. What came is kept:" in err
            assert b"waits for the rest" in err
            assert b"roost job cancel" in err
            assert b"Traceback" not in err
    before = site.link.up_bytes
    done = await site.roost(*push, "--json")
    assert done.code == 0, done.err
    [record] = done.json
    assert record["result"] == "done"
    assert site.link.up_bytes - before == pytest.approx(record["sent_bytes"], abs=32_000)
    # Of what was on its way when it ended, a few pieces had not come.
    assert site.link.up_bytes <= payload + 2 * MIB + 64 * 1024
    image = await image_named(site.agent, "app:1")
    assert image is not None
    assert record["images"] == {"app:1": image.id}
    assert len(site.agent.node.jobs.newest()) == 1


async def test_a_job_that_is_cancelled_ends_the_command(site: Site, tmp_path: Path) -> None:
    file = archive(tmp_path, "app:1", noise("large", 4 * MIB))
    running = await site.begin("image", "push", file, "--to", "@far", "--limit", "500KB/s")
    await site.link.reached(300_000)
    [job] = (await site.roost("job", "ls", "--json")).json
    cancelled = await site.roost("job", "cancel", job["job"]["id"])
    assert cancelled.code == 0
    out, err = await running.communicate()
    assert running.returncode == 1
    assert b"far" in out
    assert b"failed" in out
    assert b"error: far: the job" in err
    assert b"cancelled by" in err
    shown = await site.roost("job", "show", job["job"]["id"], "--json")
    assert shown.json["job"]["state"] == "cancelled"
    assert await image_named(site.agent, "app:1") is None


async def test_a_budget_ends_it_with_a_word_on_how_to_go_on(site: Site, tmp_path: Path) -> None:
    push = ("image", "push", archive(tmp_path, "app:1", noise("one", MIB)), "--to", "@far")
    stopped = await site.roost(*push, "--budget", "600KB")
    assert stopped.code == 1
    assert "stopped" in stopped.out
    assert "error: far: 586 KiB were sent, which is all that may be" in stopped.err
    assert "run the same command again" in stopped.err
    done = await site.roost(*push, "--budget", "600KB", "--json")
    assert (done.code, done.json[0]["result"]) == (0, "done")
    again = await site.roost(*push)
    assert (again.code, again.err) == (0, "")
    assert again.out.splitlines()[1].split()[:2] == ["far", "present"]


async def test_damage_and_what_is_no_archive(site: Site, tmp_path: Path) -> None:
    file = archive(tmp_path, "app:1", *SMALL)
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\x1f\x8b garbage"):
        file.write_bytes(damaged)
        done = await site.roost("image", "push", file, "--to", "@far")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(f"error: {file}: ")
        assert "hint: " in done.err
    assert site.link.up_bytes == 0  # nobody was even asked
    at = whole.index(SMALL[0]) + 30_000
    file.write_bytes(whole[:at] + b"\0\0\0\0" + whole[at + 4 :])
    done = await site.roost("image", "push", file, "--to", "@far")
    assert done.code == 1
    assert "failed" in done.out
    assert "its content is sha256:" in done.err
    assert "roost job cancel" in done.err


async def test_an_agent_that_is_away(site: Site, tmp_path: Path) -> None:
    site.link.away = True
    done = await site.roost("image", "push", archive(tmp_path, "app:1", *SMALL), "--to", "@far")
    assert done.code == 3
    assert "failed" in done.out
    assert done.err.startswith("error: far: ")
    assert "Errno" not in done.err


async def test_a_pipe_gets_a_line_now_and_then(site: Site, tmp_path: Path) -> None:
    file = archive(tmp_path, "app:1", noise("one", 2 * MIB))
    done = await site.roost("image", "push", file, "--to", "@far", "--limit", "1MB/s")
    assert done.code == 0
    assert "\x1b" not in done.err
    lines = done.err.splitlines()
    assert "far: sending" in lines
    assert len(lines) <= 6


async def test_a_terminal_shows_a_few_lines_and_then_the_table(site: Site, tmp_path: Path) -> None:
    file = archive(tmp_path, "app:1", noise("one", 3 * MIB))
    fleet = site.home / "fleet.yaml"
    command = [ROOST, "--fleet", fleet, "image", "push", file, "--to", "@far", "--limit", "1MB/s"]

    def watch() -> tuple[str, str, int]:
        with Terminal(list(map(str, command)), env=environment(site.home)) as terminal:
            terminal.wait_for(" left", 20)
            during = terminal.screen_text()
            assert terminal.wait_exit(30) == 0
            return during, terminal.screen_text(), len(terminal.output)

    during, after, count = await asyncio.to_thread(watch)
    first, total = (line for line in during.splitlines() if line)
    assert first.startswith("far ")
    assert "%" in first
    assert total.startswith("0 of 1 node ended, ")
    assert total.endswith("s left")
    header, row = (line for line in after.splitlines() if line)
    assert header.split() == ["NODE", "RESULT", "SENT", "TIME", "IMAGES"]
    assert row.split()[:2] == ["far", "done"]
    assert count < 4000  # some 3 s, at most two pictures of two lines a second


def push(home: Path, fleet: Path, file: Path, to: str, *more: str) -> Done:
    return roost(home, "--fleet", fleet, "image", "push", file, "--to", to, *more)


def test_a_mixed_fleet(tmp_path: Path, fleet: Path) -> None:
    """Who runs another platform, or is away, holds nobody up."""
    file = archive(tmp_path, "mixed:1", *SMALL)
    done = push(tmp_path, fleet, file, "site in (plant-1,plant-4)", "--json")
    assert done.code == 1
    results = {record["node"]: record for record in done.json}
    assert results["plant-1-t4"]["result"] == "done"
    assert results["plant-4-orin"]["result"] == "failed"
    assert results["plant-4-orin"]["problem"]["code"] == "archive.platform"
    assert results["plant-1-offline"]["problem"]["code"].startswith("link.")
    assert "error: plant-4-orin: " in done.err
    done = push(tmp_path, fleet, file, "@plant-1-offline")
    assert done.code == 3


def test_what_does_not_fit_is_told_before_anything_is_read(tmp_path: Path, fleet: Path) -> None:
    file = archive(tmp_path, "usage:1", *SMALL)
    for more in (("--limit", "fast"), ("--budget", "0"), ("--limit", "2MB/m")):
        done = push(tmp_path, fleet, file, "@plant-1-t4", *more)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: ")
    assert push(tmp_path, fleet, file, "@nobody").code == 2
    gone = push(tmp_path, fleet, tmp_path / "\x1b]0;boo\x07.tar", "@plant-1-t4")
    assert gone.code == 1
    assert "\x1b" not in gone.err
    assert "\\x1b" in gone.err
    refused = roost(tmp_path, "--read-only", "--fleet", fleet, "image", "push", file, "--to", "gpu")
    assert refused.code == 2


def test_production_sees_what_will_be_done_first(tmp_path: Path, fleet: Path) -> None:
    file = archive(tmp_path, "prod:1", *SMALL)
    refused = push(tmp_path, fleet, file, "site=plant-2")
    assert (refused.code, refused.out) == (2, "")
    assert "plant-2-a10 is in production, and nobody can be asked here" in refused.err
    command = [ROOST, "--fleet", fleet, "image", "push", file, "--to", "@plant-2-a10,@plant-1-t4"]
    with Terminal(list(map(str, command)), env=environment(tmp_path)) as terminal:
        terminal.wait_for("type the node's name", 20)
        lines = terminal.screen_text().splitlines()
        assert lines[0].split() == ["NODE", "IMAGE", "RUNS", "WOULD", "SEND", "NEED", "FREE"]
        assert lines[1].split()[:4] == ["plant-2-a10", "prod:1", "runs", "load"]
        assert "PRODUCTION" in lines[2]
        terminal.send("plant-2-a10")
        terminal.press("enter")
        assert terminal.wait_exit(30) == 0
    done = push(tmp_path, fleet, file, "@plant-2-a10", "--yes")
    assert done.code == 0
    assert "nothing" in done.err
    assert "present" in done.out


def test_json_has_all_of_it(tmp_path: Path, fleet: Path) -> None:
    own = noise("json", 50_000)
    file = archive(tmp_path, "json:1", own)
    done = push(tmp_path, fleet, file, "@plant-1-t4", "--json")
    assert done.code == 0
    [record] = json.loads(done.out)
    assert record["sent_bytes"] == len(own)
    assert set(record["images"]) == {"json:1"}
    assert msgspec.convert(record["job"], str)
