"""Points in time: as they are shown, and as they are typed for agents, which refuse others."""

from __future__ import annotations

import re
import time
from datetime import datetime

_AGE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+", re.ASCII)
_UNIX = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def is_moment(text: str) -> bool:
    """Whether an agent would take it: `1h30m`, Unix seconds, `2026-05-04T10:00:00Z`."""
    if _AGE.fullmatch(text) or _UNIX.fullmatch(text):
        return True
    found = _RFC3339.fullmatch(text)
    if found is None:
        return False
    try:
        datetime.fromisoformat(f"{found[1]}T{found[2]}")
    except ValueError:
        return False
    return True


def moment(at: float) -> str:
    """Unix seconds by this console's clock and zone: "2026-05-04 13:06:40"."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"
