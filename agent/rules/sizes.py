"""Bytes as people read them."""

from __future__ import annotations


def size(count: float) -> str:
    """`512 B`, `1.5 MiB`, `15 GiB`."""
    if count < 1024:
        return f"{int(count)} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        count /= 1024
        if count < 1023.5 or unit == "TiB":
            break
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"
