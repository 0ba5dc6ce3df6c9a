"""The disk that engines are written on is full: nothing is lost, and nothing is left half-done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import onnx_made
from tests.agent.engines.engine_side import PLAN, engine_side, put, stand_in
from tests.real.commands import run

pytestmark = [pytest.mark.real("filesystem"), pytest.mark.timeout(120)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 8 MB."""
    image, mount = tmp_path / "disk.img", tmp_path / "disk"
    mount.mkdir()
    run("truncate", "--size=8M", str(image))
    run("mkfs.ext4", "-q", str(image))
    run("mount", "-o", "loop", str(image), str(mount))
    try:
        yield mount
    finally:
        run("umount", "--lazy", str(mount))


async def fill(disk: Path, *, but: int) -> None:
    """So many KiB are left on it."""
    script = 'cat /dev/zero >"$0/filler"; truncate --size=-"$1"K "$0/filler"'
    await asyncio.to_thread(run, "sh", "-c", script, str(disk), str(but), check=False)


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    path = tmp_path / "detector.onnx"
    path.write_bytes(onnx_made.detector(blocks=8, channels=64))
    return path


async def test_no_room_for_the_plan(tmp_path: Path, disk: Path, onnx: Path) -> None:
    """NVIDIA's builder; its plan has some 800 KB."""
    async with engine_side(tmp_path, folder=disk / "engines") as side:
        first = await side.build(onnx)
        assert first.problem is None, first.problem
        await fill(disk, but=200)
        job = await side.build(onnx, optimization_level=1)
        assert job.problem is not None
        assert job.problem.code == "engine.storage", job.problem
        assert "No space left" in job.problem.detail
        assert side.files() == [f"detector/{first.result['key']}"]
        await asyncio.to_thread((disk / "filler").unlink)
        assert (await side.build(onnx, optimization_level=1)).state == "succeeded"


async def test_no_room_for_what_is_imported(tmp_path: Path, disk: Path) -> None:
    put(tmp_path / "plan", PLAN + bytes(2 * 2**20))
    async with engine_side(tmp_path, [stand_in(tmp_path)], folder=disk / "engines") as side:
        await fill(disk, but=500)
        job = await side.take_in(tmp_path / "plan", model="detector")
        assert job.problem is not None
        assert job.problem.code == "engine.storage", job.problem
        assert side.files() == []
