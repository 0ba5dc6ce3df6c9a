"""A limit on how long something may take."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Awaitable[T]) -> T:
    """What `work` comes to, if it takes no longer.

    Not asyncio.wait_for: before Python 3.12 that drops a cancellation that comes together with
    the result, and a task that should end goes on (a shell that had ended kept its terminal).

    Raises:
        asyncio.TimeoutError: it took longer, and was cancelled.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("only a task can be cancelled")
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        return await work
    except asyncio.CancelledError:
        # Somebody else may have cancelled it too, and that counts more.
        if expired and _taken_back(task) == 0:
            raise asyncio.TimeoutError from None
        raise
    finally:
        timer.cancel()


def _taken_back(task: asyncio.Task[object]) -> int:
    """Take our cancellation back; how many there are of others (Python 3.10 does not count)."""
    if sys.version_info >= (3, 11):
        return task.uncancel()
    return 0
