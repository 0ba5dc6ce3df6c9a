"""`roost container logs`."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest

from agent.protocol.containers import Container, ContainerDetails
from console.fleet.inventory import NodeEntry
from tests.console.cli.commands import ROOST, environment, roost, roost_beside, write_fleet
from tests.console.serving import EVENTS_HEAD, JSON_HEAD, chunk, event, misbehaving
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(60)

DETAILS = ContainerDetails(
    container=Container(
        id="c" * 64, name="web", image="web", image_id="", state="running", created_at=1.0
    )
)


def at(second: int) -> str:
    return f"2026-05-04T13:06:0{second}.000000000Z"


class CutLog:
    """A node whose link is cut in the middle of a log, once for each batch but the last.

    `asked` has the targets of the requests for logs.
    """

    def __init__(self, batches: list[list[dict[str, str]]]) -> None:
        self.batches = batches
        self.heads: list[bytes] = []
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = self.heads[-1].split()[1].decode()
        if "/logs" not in target:
            writer.write(JSON_HEAD + chunk(msgspec.json.encode(DETAILS)) + b"0\r\n\r\n")
        else:
            self.asked.append(target)
            writer.write(EVENTS_HEAD + event("lines", self.batches.pop(0)))
            if not self.batches:
                writer.write(event("end", {}) + b"0\r\n\r\n")
        await writer.drain()


async def test_a_cut_link_is_tried_again_and_nothing_is_said_twice(
    tmp_path: Path, short_folder: Path
) -> None:
    log = CutLog(
        [
            [{"text": "a", "at": at(1)}, {"text": "b", "at": at(2)}, {"text": "b", "at": at(2)}],
            [{"text": "b", "at": at(2)}, {"text": "b", "at": at(2)}, {"text": "b", "at": at(2)}],
            [{"text": "b", "at": at(2)}] * 3 + [{"text": "c", "at": at(3)}],
        ]
    )
    path = short_folder / "cut.sock"
    entry = NodeEntry(name="cut", address=f"unix://{path}")
    fleet = write_fleet(tmp_path / "fleet.yaml", [entry])
    async with misbehaving(path, log, heads=log.heads):
        done = await roost_beside(
            tmp_path, "--fleet", fleet, "container", "logs", "-f", "--tail", "9", "cut", "web"
        )
    assert (done.code, done.out.split()) == (0, ["a", "b", "b", "b", "c"])
    assert "tail=9" in log.asked[0]
    assert ["tail" in asked for asked in log.asked] == [True, False, False]
    assert all("since=2026-05-04t13%3a06%3a02" in asked for asked in log.asked[1:])
    # A new line has come between the two cuts.
    assert done.err.count("trying again") == 2


async def test_a_link_that_stays_away_is_told_once(tmp_path: Path, short_folder: Path) -> None:
    log = CutLog([[], [], [{"text": "a", "at": at(1)}]])
    path = short_folder / "cut.sock"
    fleet = write_fleet(tmp_path / "fleet.yaml", [NodeEntry(name="cut", address=f"unix://{path}")])
    async with misbehaving(path, log, heads=log.heads):
        done = await roost_beside(
            tmp_path, "--fleet", fleet, "container", "logs", "-f", "cut", "web"
        )
    assert (done.code, done.out, len(log.asked)) == (0, "a\n", 3)
    assert done.err.count("trying again") == 1


def test_without_follow_a_cut_is_told(tmp_path: Path, fleet: Path) -> None:
    done = roost(tmp_path, "--fleet", fleet, "container", "logs", "plant-1-offline", "gateway")
    assert (done.code, done.out) == (3, "")
    done = roost(
        tmp_path, "--fleet", fleet, "container", "logs", "-f", "plant-1-offline", "gateway"
    )
    assert (done.code, done.out) == (3, "")


def test_lines_times_and_json(tmp_path: Path, fleet: Path) -> None:
    logs = ("--fleet", fleet, "container", "logs", "plant-1-t4", "gateway", "--tail", "3")
    plain = roost(tmp_path, *logs)
    assert (plain.code, len(plain.out.splitlines()), plain.err) == (0, 3, "")
    stamped = roost(tmp_path, *logs, "-t").out.splitlines()
    assert all(line.startswith("20") and "Z " in line for line in stamped)
    records = [json.loads(line) for line in roost(tmp_path, *logs, "--json").out.splitlines()]
    assert [(r["node"], r["container"]) for r in records] == [("plant-1-t4", "gateway")] * 3
    assert all(record["line"]["at"] for record in records)


def test_a_since_that_is_none(tmp_path: Path, fleet: Path) -> None:
    done = roost(
        tmp_path, "--fleet", fleet, "container", "logs", "plant-1-t4", "gateway", "--since", "soon"
    )
    assert (done.code, done.out) == (2, "")
    assert "soon" in done.err


@pytest.mark.real
@pytest.mark.timeout(120)
def test_logs_of_a_real_container(
    docker_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    script = r"printf '\033[31mred\033[0m\n'; echo two >&2; exec sleep 1000"
    docker_engine.docker(
        *("run", "-d", "--init", "--name", "talks", IMAGE),
        *("sh", "-c", script),
    )
    logs = ("--fleet", docker_fleet, "container", "logs", "dock", "talks")
    done = roost(tmp_path, *logs)
    assert (done.code, sorted(done.out.splitlines())) == (0, ["\x1b[31mred\x1b[0m", "two"])
    command: list[str | Path] = [ROOST, *logs]
    with Terminal(command, env=environment(tmp_path)) as terminal:
        assert terminal.wait_exit(20) == 0
        assert b"\x1b[31m" not in terminal.output
        assert "red" in terminal.screen_text()


@pytest.mark.real
@pytest.mark.timeout(120)
def test_a_line_of_1_mb_is_cut_and_says_so(
    docker_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    script = "head -c 1048576 /dev/zero | tr '\\0' x; echo; echo next; exec sleep 1000"
    docker_engine.docker("run", "-d", "--init", "--name", "long", IMAGE, "sh", "-c", script)
    logs = ("--fleet", docker_fleet, "container", "logs", "dock", "long")
    first, second = roost(tmp_path, *logs).out.splitlines()
    assert first == "x" * 16384 + " [1008 KiB more]"
    assert second == "next"
    records = [json.loads(line) for line in roost(tmp_path, *logs, "--json").out.splitlines()]
    assert records[0]["line"]["cut_bytes"] == 2**20 - 2**14


@pytest.mark.real
@pytest.mark.timeout(120)
def test_following_a_real_container_until_it_ends_and_until_ctrl_c(
    docker_engine: DockerEngine, docker_fleet: Path, tmp_path: Path
) -> None:
    docker_engine.docker(
        *("run", "-d", "--name", "counts", IMAGE, "sh", "-c"),
        "for i in 1 2 3; do echo $i; sleep 0.3; done",
    )
    follow = ("--fleet", docker_fleet, "container", "logs", "-f", "dock")
    assert roost(tmp_path, *follow, "counts").out.split() == ["1", "2", "3"]
    docker_engine.docker(
        "run", "-d", "--init", "--name", "stays", IMAGE, "sh", "-c", "echo up; exec sleep 1000"
    )
    with subprocess.Popen(
        [ROOST, *follow, "stays"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err.strip()) == (130, b"")
