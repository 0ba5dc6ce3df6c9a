"""Reading small files of /proc, /sys and /etc: text, or a reason why there is none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# A file of /proc or /sys that matters here is far smaller; dpkg's status file is the largest.
LIMIT_BYTES = 16 * 1024 * 1024

# Asking a file of /proc/sys for megabytes at once fails with ENOMEM: the kernel makes a buffer
# of the size asked for.
CHUNK_BYTES = 64 * 1024


def reason_of(error: OSError) -> str:
    """A stable word for an error: "missing", "no_permission" or "error:<errno name>"."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "missing"
    if isinstance(error, PermissionError):
        return "no_permission"
    number = error.errno or 0
    return f"error:{errno.errorcode.get(number, number)}"


def read_text(path: Path) -> tuple[str | None, str]:
    """The file's text and "", or None and the reason. Bytes that are no UTF-8 are replaced."""
    try:
        with path.open("rb", buffering=0) as file:
            data = bytearray()
            while len(data) < LIMIT_BYTES and (chunk := os.read(file.fileno(), CHUNK_BYTES)):
                data += chunk
            return data.decode("utf-8", "replace"), ""
    except OSError as error:
        return None, reason_of(error)


def read_line(path: Path) -> tuple[str | None, str]:
    """The file's text without NULs and white space around it; empty counts as unknown."""
    text, reason = read_text(path)
    if text is None:
        return None, reason
    line = text.replace("\0", " ").strip()
    return (line, "") if line else (None, "empty")
