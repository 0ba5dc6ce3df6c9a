"""Waiting for what tells nobody; the test's own time-out is the limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PAUSE_SECONDS = 0.01


async def until(holds: Callable[[], object]) -> None:
    """In the loop, for what happens there, in threads, or on disk."""
    while not holds():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(PAUSE_SECONDS)


def wait_until(holds: Callable[[], object]) -> None:
    """For what happens in other processes."""
    while not holds():
        time.sleep(PAUSE_SECONDS)
