"""Gives the terminal to another command, and takes it back."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from textual.app import App, SuspendNotSupported

from console.text import clean

# What ends with an error this soon has said why; let it be read.
_SOON_SECONDS = 5.0


async def run_in_terminal(app: App[object], command: Sequence[str], *, title: str) -> str:
    """Run `command` with the terminal to itself, while the fleet is followed behind it.

    Returns:
        What to say when the screen is back.
    """
    try:
        with app.suspend():
            return await _run(command, clean(title))
    except SuspendNotSupported:
        return "This terminal cannot be given to a shell."


async def _run(command: Sequence[str], title: str) -> str:
    print(f"\r\n--- {title}: leave with exit or Ctrl+D ---\r\n", flush=True)  # noqa: T201
    started = time.monotonic()
    # Ctrl+C reaches us too, and must not end the console. What is caught here is back at its
    # default in the command; what is ignored would stay ignored there.
    before = signal.signal(signal.SIGINT, _do_nothing)
    try:
        process = await asyncio.create_subprocess_exec(*command)
        code = await process.wait()
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    finally:
        signal.signal(signal.SIGINT, before)
    if code and time.monotonic() - started < _SOON_SECONDS:
        print("\r\n--- Enter goes back to Roost ---", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.__stdin__.readline if sys.__stdin__ else str)
    return f"The shell on {title} has ended with {code}." if code else f"Back from {title}."


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Caught, so that it ends nothing."""
