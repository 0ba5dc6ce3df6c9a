"""Gives the terminal to another command, and takes it back."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence

from textual.app import App, SuspendNotSupported

from console.text import clean


def run_in_terminal(app: App[object], command: Sequence[str], *, title: str) -> str:
    """Run `command` with the terminal to itself; waits for it. Returns what to say after."""
    try:
        with app.suspend():
            print(f"\r\n--- {clean(title)}: leave with exit or Ctrl+D ---\r\n", flush=True)  # noqa: T201
            # Ctrl+C belongs to the command; it must not end the console behind it.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                code = subprocess.call(list(command), preexec_fn=_take_ctrl_c)
            finally:
                signal.signal(signal.SIGINT, before)
    except SuspendNotSupported:
        return "This terminal cannot be given to a shell."
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    return f"The shell on {title} has ended with {code}." if code else f"Back from {title}."


def _take_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
