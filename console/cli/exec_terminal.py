"""The person's terminal while a command in a container has it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

READ_BYTES = 16 * 1024
_MOST_CELLS = 10_000


def terminal_size() -> tuple[int, int]:
    """Columns and rows, as the wire takes them.

    Of the terminal itself: COLUMNS and LINES may have come from another one.
    """
    try:
        size = os.get_terminal_size(sys.stdin.fileno())
    except OSError:
        size = os.terminal_size((80, 24))
    return min(max(size.columns, 1), _MOST_CELLS), min(max(size.lines, 1), _MOST_CELLS)


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Every key goes to the command, Ctrl-C too. The terminal is as before in any case."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def watch_size(resize: Callable[[int, int], Awaitable[None]]) -> None:
    """Call `resize` with columns and rows whenever they have changed."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            await changed.wait()
            changed.clear()
            await resize(*terminal_size())
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


async def read_input(descriptor: int) -> bytes:
    """What comes next; empty at the end."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(descriptor, _set, ready)
    except PermissionError:  # a file: always ready
        return os.read(descriptor, READ_BYTES)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    try:
        return os.read(descriptor, READ_BYTES)
    except OSError:  # a terminal that was hung up
        return b""


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
