"""Blocking work in threads that two calls never share a file with."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A few threads, made at first use.

    Args:
        count: How many; None takes the event loop's own.
    """

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call it in a thread. Ends only when the call has ended, also when cancelled."""
        return await whole(self.start(function, *args, **named))

    def start(
        self, function: Callable[P, T], *args: P.args, **named: P.kwargs
    ) -> asyncio.Future[T]:
        """Begin the call; wait for it with `whole`."""
        if self._executor is None and self._count is not None:
            self._executor = ThreadPoolExecutor(self._count, thread_name_prefix="images")
        call = functools.partial(function, *args, **named)
        return asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """End the threads when they have nothing to do."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)


async def whole(future: asyncio.Future[T]) -> T:
    """Wait for a thread's call; a cancellation waits for it, too."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        future.exception()  # else asyncio says that nobody asked for it
        raise asyncio.CancelledError
    return future.result()
