"""Reading a file of this machine while the last line says how far it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from console.tui.look import words
from console.tui.widgets.footer import Footer

Answer = TypeVar("Answer")


class _GivenUpError(Exception):
    """Nobody waits for it any more."""


async def read_showing(
    footer: Footer, name: str, read: Callable[[Callable[[str, int, int], None]], Answer]
) -> Answer:
    """What `read` gives, in a thread. It tells what it does, of how many bytes it did so, and of
    how many; a cancellation ends it where it tells that next. Raises what it raises."""
    loop, given_up = asyncio.get_running_loop(), threading.Event()
    told = ""

    def heard(doing: str, done: int, total: int) -> None:
        nonlocal told
        if given_up.is_set():
            raise _GivenUpError
        text = f"{doing} {name} ... {100 * done // max(1, total)}% of {words.size(total)}"
        if text != told:
            told = text
            loop.call_soon_threadsafe(footer.progress, text)

    try:
        return await asyncio.to_thread(read, heard)
    except asyncio.CancelledError:
        given_up.set()
        raise
