"""What came of layers for a job that has ended makes room before any image does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.images import freeing
from agent.images.space import SPARE_BYTES, DiskFree
from agent.images.upload_record import new_record
from tests.agent.doubles import FixedRuntime
from tests.agent.images.image_side import ImageSide, files, image_side
from tests.agent.images.layers import diff_id, pieces
from tests.archives_made import Made, layer

FIRST, SECOND, LIVE = (layer(name, 400_000) for name in ("first", "second", "live"))
NEW = Made([layer("new", 400_000)], tags=["new:1"])


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[ImageSide]:
    async with image_side(tmp_path, FixedRuntime()) as side:
        yield side


async def begin(side: ImageSide, data: bytes, count: int) -> str:
    """Send the first `count` bytes of a layer; its upload."""
    made = new_record({"diff_id": diff_id(data)}, length=len(data), header="")
    state = await side.images.uploads.create(made)
    await side.images.uploads.receive(state.record.id, 0, pieces(data[:count]))
    return state.record.id


def has_free(side: ImageSide, count: int, *, needs: int = 2) -> None:
    """A disk with so much free, and what uploads that went had; images do not count."""
    there = len(side.images.uploads.idle(0.0))

    def free(_: Path) -> DiskFree:
        gone = there - len(side.images.uploads.idle(0.0))
        return DiskFree(1, SPARE_BYTES + count + (10**9 if gone >= needs else 0))

    side.images._space._free = free


async def test_they_go_first_and_those_that_somebody_needs_stay(
    side: ImageSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeing, "ABANDONED_SECONDS", 0.0)
    kept = Made([layer("kept", 500_000)], tags=["kept:1"])
    assert (await side.push(kept)).state == "succeeded"
    ended = await side.load(Made([FIRST, SECOND], tags=["gone:1"]))
    await side.load(Made([LIVE], tags=["live:1"]))
    await begin(side, SECOND, 300_000)
    await begin(side, FIRST, 200_000)
    live = await begin(side, LIVE, 100_000)
    await side.jobs.cancel(ended.id, by="maria")
    assert (await side.ended(ended)).state == "cancelled"

    side.images._space._held.clear()  # only what lies there is of interest
    has_free(side, len(NEW.layers[0]) - 400_000)
    plan = await side.plan(NEW)
    assert plan.problems == []
    assert [(item.kind, item.name, item.size_bytes) for item in plan.frees] == [
        ("upload", diff_id(SECOND), 300_000),
        ("upload", diff_id(FIRST), 200_000),
    ]
    job = await side.push(NEW)
    assert (job.state, job.problem) == ("succeeded", None)
    log = await side.log(job)
    assert f"made room: removed part of layer {diff_id(SECOND)}, 293 KiB" in log
    assert await side.image("kept:1") is not None
    assert f"{live}.data" in files(tmp_path)
    assert [name for name in files(tmp_path) if name.endswith(".data")] == [f"{live}.data"]


async def test_what_was_sent_just_now_stays(side: ImageSide) -> None:
    await begin(side, FIRST, 300_000)
    has_free(side, 0)
    assert [item for item in (await side.plan(NEW)).frees if item.kind == "upload"] == []


async def test_what_the_load_itself_goes_on_with_stays(
    side: ImageSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeing, "ABANDONED_SECONDS", 0.0)
    await begin(side, NEW.layers[0], 300_000)
    has_free(side, 0)
    plan = await side.plan(NEW)
    assert plan.frees == []
    assert [problem.code for problem in plan.problems] == ["space.short"]
