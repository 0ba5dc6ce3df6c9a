"""A few threads of our own for calls that block.

The loop's default executor is shared by everyone and its threads are joined when Python exits, so
a runtime that hangs would hold up both. These threads are daemons, start when they are needed,
and number no more than said.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class WorkersBusyError(Exception):
    """Every thread is taken and the queue is full: what they call does not answer."""


class Workers:
    """Runs blocking calls in at most `count` threads; `waiting` more may queue."""

    def __init__(self, name: str, *, count: int, waiting: int) -> None:
        self._name, self._count, self._limit = name, count, count + waiting
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._outstanding = 0
        self._threads = 0
        self._stopped = False

    async def run(self, call: Callable[[], T], *, unwanted: Callable[[T], None] | None = None) -> T:
        """What `call` returns or raises. A cancelled wait leaves its thread to finish alone.

        Args:
            unwanted: gives back what `call` returned when nobody waits for it any more.

        Raises:
            WorkersBusyError: too many calls are under way already, or `stop` was called.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        with self._lock:
            if self._stopped or self._outstanding >= self._limit:
                raise WorkersBusyError(f"{self._outstanding} calls are under way already")
            self._outstanding += 1
            grow = self._threads < min(self._outstanding, self._count)
            self._threads += grow
        self._queue.put(_Work(call, answer, loop, unwanted))
        if grow:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        return await answer

    def stop(self) -> None:
        """End the threads, each after the call it is in. They are not waited for."""
        with self._lock:
            self._stopped = True
            threads = self._threads
        for _ in range(threads):
            self._queue.put(None)

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            work.run()
            # Before the answer is told, so that whoever waits for it finds a free thread.
            with self._lock:
                self._outstanding -= 1
            work.tell()
            del work  # do not keep the last answer alive while idle


class _Work:
    def __init__(
        self,
        call: Callable[[], Any],
        answer: asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop,
        unwanted: Callable[[Any], None] | None,
    ) -> None:
        self._call, self._answer, self._loop = call, answer, loop
        self._unwanted = unwanted
        self._tell: Callable[[], None] = lambda: None

    def run(self) -> None:
        if self._answer.cancelled():
            return
        try:
            result = self._call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._tell = partial(self._fail, error)
        else:
            self._tell = partial(self._succeed, result)

    def tell(self) -> None:
        # It refers to this object: kept, every answer would live until garbage is collected.
        tell, self._tell = self._tell, lambda: None
        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop is closed: nobody is left who waits
            self._answer.cancel()
            tell()

    def _succeed(self, result: object) -> None:
        if not self._answer.done():
            self._answer.set_result(result)
        elif self._unwanted is not None:
            self._unwanted(result)

    def _fail(self, error: BaseException) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)
