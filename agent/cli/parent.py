"""Ending with the process that started us."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable


async def call_when_parent_ends(stop: Callable[[], None]) -> None:
    """Call `stop` once standard input is closed.

    Whoever started us holds its other end, and the kernel closes it even after `kill -9`.
    """

    class _Ended(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            stop()

    await asyncio.get_running_loop().connect_read_pipe(_Ended, sys.stdin)
