"""Which layers stay: pins, age, size; and those that are not what they were."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.images import keeping
from agent.images.keeping import KEPT_SECONDS, Keeper
from agent.jobs.jobs import Jobs
from agent.protocol.problems import ProblemError
from tests.agent.doubles import FixedRuntime
from tests.agent.images.image_side import ImageSide, content, image_side
from tests.agent.images.layers import compressed, diff_id, noise, pieces, zstd_record
from tests.archives_made import Made, layer

LAYERS = [layer(name, 20_000) for name in "abcd"]


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[ImageSide]:
    runtime = FixedRuntime()
    async with image_side(tmp_path / "state", runtime) as made:
        yield made


def used(state: Path, data: bytes, *, days_ago: float) -> None:
    """Set when a blob was used last."""
    path = state / "blobs" / diff_id(data)[7:]
    at = path.stat().st_mtime - days_ago * 86400
    os.utime(path, (at, at))


def there(side: ImageSide) -> list[int]:
    """The numbers of the layers that are blobs."""
    return [number for number, data in enumerate(LAYERS) if side.images.blobs.has(diff_id(data))]


async def test_old_ones_go_and_pinned_ones_stay(side: ImageSide, tmp_path: Path) -> None:
    await side.send(*LAYERS)
    days = KEPT_SECONDS / 86400
    for number, age in enumerate((days + 1, days + 2, days - 1, 0)):
        used(tmp_path / "state", LAYERS[number], days_ago=age)
    # A load that waits for its last layer, of which the first one lies here.
    waiting = Made([LAYERS[0], layer("never sent")], tags=["app:1"])
    job = await side.load(waiting)
    await side.at_stage(job, "receiving")
    await side.images.clean()
    assert there(side) == [0, 2, 3]
    await side.jobs.cancel(job.id, by="maria")
    await side.ended(job)
    used(tmp_path / "state", LAYERS[0], days_ago=days + 1)
    await side.images.clean()
    assert there(side) == [2, 3]


async def test_the_longest_unused_go_where_it_is_too_much(
    side: ImageSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await side.send(*LAYERS)
    for number, age in enumerate((1, 4, 3, 2)):
        used(tmp_path / "state", LAYERS[number], days_ago=age)
    size = len(LAYERS[0])
    monkeypatch.setattr(keeping, "KEPT_BYTES", size * 2 + 10)
    await side.images.clean()
    assert there(side) == [0, 3]


async def test_a_small_disk_keeps_a_share(side: ImageSide, monkeypatch: pytest.MonkeyPatch) -> None:
    await side.send(*LAYERS)
    monkeypatch.setattr(keeping, "KEPT_SHARE", 0.0)
    await side.images.clean()
    assert there(side) == []


async def test_evicting_a_layer_of_a_job_that_ended_releases_nothing_else(side: ImageSide) -> None:
    keeper = side.images._keeper
    one, two = Made(LAYERS[:2]), Made(LAYERS[1:3])
    keeper.pin("one", [content(one)])
    keeper.pin("two", [content(two)])
    assert {diff_id(data) for data in LAYERS[:3]} < keeper.pinned()
    keeper.release("one")
    assert diff_id(LAYERS[0]) not in keeper.pinned()
    assert diff_id(LAYERS[1]) in keeper.pinned()
    assert keeper.pinned(but="two") == set()


async def test_damaged_ones_are_found(side: ImageSide, tmp_path: Path) -> None:
    await side.send(*LAYERS[:2])
    packed = noise(100_000)
    state = await side.images.uploads.create(zstd_record(packed, len(compressed(packed))))
    await side.images.uploads.receive(state.record.id, 0, pieces(compressed(packed)))
    keeper = side.images._keeper
    all_of_them = [*map(diff_id, LAYERS), diff_id(packed)]
    assert await keeper.drop_damaged(all_of_them) == []
    for name in (diff_id(LAYERS[1])[7:], f"{diff_id(packed)[7:]}.{len(packed)}.zst"):
        path = tmp_path / "state" / "blobs" / name
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ProblemError) as raised:
        keeper.open(diff_id(packed)).read(200_000)
    assert raised.value.code == "blob.storage"
    assert await keeper.drop_damaged(all_of_them) == [diff_id(LAYERS[1]), diff_id(packed)]
    assert there(side) == [0]


async def test_a_simulated_node_keeps_nothing_on_a_disk() -> None:
    from tests.agent.doubles import make_node

    node = make_node()
    assert isinstance(node.jobs, Jobs)
    keeper = node.images._keeper
    assert isinstance(keeper, Keeper)
    assert await keeper.evict() == []
