"""Which requests run together, and what becomes of those that cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from images.detector.server.backend import Floats
from images.detector.server.batching import Batcher
from images.detector.server.problems import RequestError


def images(count: int, value: float = 0.0, size: int = 2) -> Floats:
    return np.full((count, 3, size, size), value, np.float32)


class Model:
    """Waits until it is let go; its output is the images' own first values."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []
        self.go = asyncio.Event()

    async def run(self, batch: Floats, model: str) -> tuple[Floats, str]:
        self.batches.append(batch.shape)
        await self.go.wait()
        if batch[0, 0, 0, 0] < 0:
            raise ValueError("below nothing")
        return batch[:, :1, 0, :1], model


@asynccontextmanager
async def batching(
    model: Model, *, max_batch: int = 4, max_delay: float = 0.0, limit: int = 100
) -> AsyncIterator[Batcher[str]]:
    batcher = Batcher(model.run, max_batch=max_batch, max_delay=max_delay, limit=limit)
    batcher.start()
    yield batcher
    await batcher.stop()


async def infer(batcher: Batcher[str], given: Floats, model: str = "first") -> Floats:
    made, ran = await batcher.infer(given, model)
    assert ran == model
    return made


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - it is about what the loop does in turn
        await asyncio.sleep(0)


async def test_what_comes_while_it_runs_is_the_next_batch() -> None:
    model = Model()
    async with batching(model) as batcher:
        asked = [asyncio.create_task(infer(batcher, images(1, value))) for value in range(6)]
        await until(lambda: bool(model.batches) and batcher.queued >= 2)
        first = model.batches[0][0]
        model.go.set()
        answers = [float(each[0, 0, 0]) for each in await asyncio.gather(*asked)]
        assert answers == [0, 1, 2, 3, 4, 5]
        assert [shape[0] for shape in model.batches] == [first, 6 - first]


async def test_one_that_is_alone_does_not_wait() -> None:
    model = Model()
    model.go.set()
    async with batching(model, max_delay=3600.0) as batcher:
        answer = await infer(batcher, images(1, 7))
        assert answer.ravel().tolist() == [7]


async def test_it_waits_for_those_that_are_on_their_way() -> None:
    model = Model()
    model.go.set()
    async with batching(model, max_delay=3600.0) as batcher:
        batcher.arriving = 1
        first = asyncio.create_task(infer(batcher, images(1, 1)))
        await until(lambda: batcher.queued == 1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert model.batches == []
        second = asyncio.create_task(infer(batcher, images(1, 2)))
        await asyncio.sleep(0)
        batcher.arrived()
        await asyncio.gather(first, second)
        assert [shape[0] for shape in model.batches] == [2]


async def test_a_request_larger_than_a_batch_is_split_and_put_together() -> None:
    model = Model()
    model.go.set()
    async with batching(model) as batcher:
        given = np.concatenate([images(1, value) for value in range(10)])
        assert (await infer(batcher, given)).ravel().tolist() == list(range(10))
        assert [shape[0] for shape in model.batches] == [4, 4, 2]


async def test_images_of_different_sizes_run_apart() -> None:
    model = Model()
    async with batching(model) as batcher:
        asked = [
            asyncio.create_task(infer(batcher, images(1, size, size))) for size in (2, 2, 4, 4)
        ]
        await until(lambda: bool(model.batches))
        model.go.set()
        answers = [float(each[0, 0, 0]) for each in await asyncio.gather(*asked)]
        assert answers == [2, 2, 4, 4]
        assert all(shape[2] == shape[3] for shape in model.batches)


async def test_too_many_are_refused() -> None:
    model = Model()
    async with batching(model, limit=2) as batcher:
        first = asyncio.create_task(infer(batcher, images(1)))
        await until(lambda: bool(model.batches))
        waiting = asyncio.create_task(infer(batcher, images(2)))
        await until(lambda: batcher.queued == 2)
        with pytest.raises(RequestError) as raised:
            await infer(batcher, images(1))
        assert (raised.value.status, raised.value.code) == (503, "server.busy")
        with pytest.raises(RequestError) as raised:
            await infer(batcher, images(3))  # there will never be room
        assert (raised.value.status, raised.value.code) == (413, "input.too_many")
        model.go.set()
        await asyncio.gather(first, waiting)


async def test_it_says_whether_it_works_and_how_long_a_batch_has_run() -> None:
    model = Model()
    async with batching(model) as batcher:
        assert (batcher.works, batcher.running_seconds) == (True, 0.0)
        asked = asyncio.create_task(infer(batcher, images(1)))
        await until(lambda: bool(model.batches) and batcher.running_seconds > 0)
        model.go.set()
        await asked
        await until(lambda: batcher.running_seconds == 0.0)
    assert not batcher.works


async def test_a_batch_that_fails_is_told_to_each_in_it_and_the_next_one_runs() -> None:
    model = Model()
    model.go.set()
    async with batching(model) as batcher:
        with pytest.raises(ValueError, match="below nothing"):
            await infer(batcher, images(1, -1))
        assert (await infer(batcher, images(1, 3))).ravel().tolist() == [3]


async def test_a_batch_that_finds_no_memory_is_told_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_memory(_: object) -> None:
        raise MemoryError

    model = Model()
    async with batching(model) as batcher:
        first = asyncio.create_task(infer(batcher, images(1)))
        await until(lambda: bool(model.batches))
        together = [asyncio.create_task(infer(batcher, images(1))) for _ in range(2)]
        await until(lambda: batcher.queued == 2)
        monkeypatch.setattr(np, "concatenate", no_memory)
        model.go.set()
        outcomes = await asyncio.gather(first, *together, return_exceptions=True)
        assert [isinstance(each, MemoryError) for each in outcomes] == [False, True, True]
        assert (await infer(batcher, images(1, 3))).ravel().tolist() == [3]


async def test_images_for_different_models_run_apart() -> None:
    model = Model()
    async with batching(model) as batcher:
        before = [asyncio.create_task(infer(batcher, images(1), "first")) for _ in range(3)]
        after = [asyncio.create_task(infer(batcher, images(1), "second")) for _ in range(2)]
        await until(lambda: bool(model.batches))
        model.go.set()
        await asyncio.gather(*before, *after)
        assert sum(shape[0] for shape in model.batches[:-1]) == 3
        assert model.batches[-1][0] == 2


async def test_whose_client_is_gone_does_not_run() -> None:
    model = Model()
    async with batching(model) as batcher:
        first = asyncio.create_task(infer(batcher, images(1)))
        await until(lambda: bool(model.batches))
        gone = asyncio.create_task(infer(batcher, images(1)))
        stays = asyncio.create_task(infer(batcher, images(1, 5)))
        await until(lambda: batcher.queued == 2)
        gone.cancel()
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(first, stays)
        assert [shape[0] for shape in model.batches] == [1, 1]


async def test_who_waits_when_it_ends_is_told() -> None:
    model = Model()
    async with batching(model) as batcher:
        running = asyncio.create_task(infer(batcher, images(1)))
        await until(lambda: bool(model.batches))
        waiting = asyncio.create_task(infer(batcher, images(1)))
        await until(lambda: batcher.queued == 1)
    with pytest.raises(RequestError):
        await waiting
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("turns", range(5))
async def test_it_ends_whatever_it_waits_for(turns: int) -> None:
    """A request that was on its way is cut off, and it is told to end as it hears of that."""
    model = Model()
    async with batching(model, max_delay=60) as batcher:
        batcher.arriving = 1
        asked = asyncio.create_task(infer(batcher, images(1)))
        for _ in range(5):
            await asyncio.sleep(0)
        asked.cancel()
        batcher.arrived()
        for _ in range(turns):
            await asyncio.sleep(0)
    assert model.batches == []
    assert not batcher.works
