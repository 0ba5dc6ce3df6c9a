"""Requests that come together run together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import numpy as np

from .backend import Floats
from .problems import RequestError

Model = TypeVar("Model")
# A batch, for a model: its output, and the model that ran it after all.
Run = Callable[[Floats, Model], Coroutine[Any, Any, tuple[Floats, Model]]]


@dataclass
class _Waiting(Generic[Model]):
    images: Floats
    model: Model
    answer: asyncio.Future[tuple[Floats, Model]]


class Batcher(Generic[Model]):
    """One batch runs at a time; what comes meanwhile is the next one.

    A batch waits for more only while some are on their way (`arriving`), and never longer than
    `max_delay` seconds: a request that is alone is never held up.

    Args:
        run: runs a batch; what it raises is the answer of all requests in it.
    """

    def __init__(self, run: Run[Model], *, max_batch: int, max_delay: float, limit: int) -> None:
        self._run, self.max_batch, self._delay, self._limit = run, max_batch, max_delay, limit
        self._waiting: deque[_Waiting[Model]] = deque()
        self._came = asyncio.Event()
        self.arriving = 0
        self._task: asyncio.Task[None] | None = None
        self._ends = False
        self._began: float | None = None  # the batch that runs, by the loop's clock

    @property
    def works(self) -> bool:
        """Whether what waits will be run."""
        return self._task is not None and not self._task.done()

    @property
    def running_seconds(self) -> float:
        """For so long the batch has been running that does; 0: none does."""
        return 0.0 if self._began is None else asyncio.get_running_loop().time() - self._began

    @property
    def queued(self) -> int:
        """Images that wait."""
        return sum(len(each.images) for each in self._waiting)

    def start(self) -> None:
        """In the running loop."""
        self._task = asyncio.create_task(self._work(), name="batches")

    async def stop(self) -> None:
        """Whoever waits still is told that it ends."""
        # Up to Python 3.11, wait_for forgets a cancellation that comes as it is done.
        self._ends = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for each in self._waiting:
            if not each.answer.done():
                each.answer.set_exception(_busy("the server ends"))
        self._waiting.clear()

    async def infer(self, images: Floats, model: Model) -> tuple[Floats, Model]:
        """The output for these images (n, 3, height, width), in their order, and what ran them.

        Args:
            model: what they were made for; they run with others for the same one alone.

        Raises:
            RequestError: 503, too many wait; 413, they are more than may wait at all; and what the
                run raises.
        """
        if len(images) > self._limit:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "input.too_many",
                f"the request has {len(images)} images, over {self._limit}",
                "Send fewer at a time, or set DETECTOR_QUEUE_LIMIT.",
            )
        if self.queued + len(images) > self._limit:
            raise _busy(f"{self._limit} images wait already")
        parts = [
            images[start : start + self.max_batch]
            for start in range(0, len(images), self.max_batch)
        ]
        loop = asyncio.get_running_loop()
        asked = [_Waiting(part, model, loop.create_future()) for part in parts]
        self._waiting.extend(asked)
        self._came.set()
        try:
            answers = await asyncio.gather(*(each.answer for each in asked))
        finally:
            for each in asked:
                each.answer.cancel()
        if len(answers) == 1:
            return answers[0]
        return np.concatenate([made for made, _ in answers]), answers[-1][1]

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._ends:
            while not self._waiting:
                self._came.clear()
                await self._came.wait()
            deadline = loop.time() + self._delay
            while self.arriving and self.queued < self.max_batch:
                self._came.clear()
                try:
                    await asyncio.wait_for(self._came.wait(), deadline - loop.time())
                except (asyncio.TimeoutError, TimeoutError):
                    break
            self._began = loop.time()
            await self._run_batch(self._taken())
            self._began = None

    def arrived(self) -> None:
        """One that was on its way is not any more, whatever became of it."""
        self.arriving -= 1
        self._came.set()

    def _taken(self) -> list[_Waiting[Model]]:
        """The longest waiting, and what is of the same size and model, up to a batch."""
        taken: list[_Waiting[Model]] = []
        room = self.max_batch
        while self._waiting:
            first = self._waiting[0]
            if taken and (len(first.images) > room or not _together(first, taken[0])):
                break
            each = self._waiting.popleft()
            if not each.answer.done():  # else its client is gone
                taken.append(each)
                room -= len(each.images)
        return taken

    async def _run_batch(self, batch: list[_Waiting[Model]]) -> None:
        if not batch:
            return
        alone = len(batch) == 1
        try:
            # Within, for there may be no memory for it: that is this batch's end, not the worker's.
            images = batch[0].images if alone else np.concatenate([each.images for each in batch])
            made, model = await self._run(images, batch[0].model)
        except Exception as error:  # noqa: BLE001 - it is told to each who waits for it
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
            return
        start = 0
        for each in batch:
            if not each.answer.done():
                each.answer.set_result((made[start : start + len(each.images)], model))
            start += len(each.images)


def _together(one: _Waiting[Any], other: _Waiting[Any]) -> bool:
    return one.model is other.model and one.images.shape[1:] == other.images.shape[1:]


def _busy(why: str) -> RequestError:
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE, "server.busy", why, "Send it again in a moment."
    )
