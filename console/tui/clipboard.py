"""Copying to the clipboard of the person's own terminal, over any number of SSH hops."""

from __future__ import annotations

import asyncio
import os
import tempfile

from textual.app import App

# Terminals drop longer OSC 52 strings without a word; xterm's and hterm's limit is near this.
LIMIT_BYTES = 74_994
_BASE64 = 4 / 3


async def copy_text(app: App[object], text: str) -> str:
    """Copy `text`; what is too much for a terminal goes to a file instead.

    Returns:
        What was done, in words. Terminals do not answer, so "sent" is all that can be said.
    """
    data = text.encode("utf-8", "replace")
    if len(data) * _BASE64 <= LIMIT_BYTES:
        app.copy_to_clipboard(text)
        return "sent to the terminal's clipboard"
    name = await asyncio.to_thread(_to_file, data)
    return f"too much for a clipboard, saved to {name}"


def _to_file(data: bytes) -> str:
    handle, name = tempfile.mkstemp(prefix="roost-copy-", suffix=".txt")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    return name
