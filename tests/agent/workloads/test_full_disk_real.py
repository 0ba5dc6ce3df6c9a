"""The disk that deployments are written on fills up: nothing is lost, and one of the two runs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.protocol.deployments import DeployOptions
from tests.agent.workloads.test_faults_real import ON_FIRST, once_in, runs_as_before
from tests.agent.workloads.workload_side import workload_side
from tests.real.commands import run
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real("filesystem"), pytest.mark.timeout(120)]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A filesystem of 8 MB. SQLite follows links, so that it is no use in an enclosure."""
    image, mount = folder / "disk.img", folder / "disk"
    mount.mkdir()
    run("truncate", "--size=8M", str(image))
    run("mkfs.ext4", "-q", str(image))
    run("mount", "-o", "loop", str(image), str(mount))
    try:
        yield mount
    finally:
        run("umount", "--lazy", str(mount))


def fill(disk: Path) -> None:
    """Nothing more goes on it, nor into the database's journal, which has room until it is cut."""
    with closing(sqlite3.connect(disk / "agent.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    run("sh", "-c", 'cat /dev/zero >"$0"', str(disk / "filler"), check=False)


@pytest.mark.parametrize("state", ["preparing", "starting", "probing", "canary"])
async def test_the_disk_is_full(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    with small_disk(tmp_path) as disk:
        async with workload_side(engine, disk / "agent.db") as node:
            first = node.run("detector", "--restart=always", *ON_FIRST)
            with once_in(state, monkeypatch, lambda _: fill(disk)) as filled:
                options = DeployOptions(confirm="manual", confirm_within=2)
                await node.begin_pin("detector", "1", strategy="stop-then-start", options=options)
                await filled.wait()
                await asyncio.sleep(4)  # as long as nobody makes room, nothing changes
            assert node.deployment().state == state
            running = [name for name, found in node.names().items() if found == "running"]
            assert len(running) == 1
            (disk / "filler").unlink()
            await node.reaches("reverted")
            runs_as_before(node, first)
