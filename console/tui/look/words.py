"""Figures as short words. Rounded, so that small changes do not repaint anything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from agent.rules.quantise import CONTAINER_MEMORY_STEP_BYTES
from console.tui.look.glyphs import Glyphs

UNKNOWN = "--"

_EXACT = 10
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KIB, _MIB, _GIB = 1024, 1024**2, 1024**3


def age(seconds: float | None) -> str:
    """Three cells: "7s", "40s", "3m", "2h", "5d".

    From ten seconds on in tens: what changes every second costs a slow line too much.
    """
    if seconds is None:
        return UNKNOWN
    if seconds < _EXACT:
        return f"{int(seconds)}s"
    if seconds < _MINUTE:
        return f"{int(seconds // _EXACT) * _EXACT}s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)}m"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)}h"
    days = int(seconds // _DAY)
    for unit, length, most in (("d", 1, 100), ("w", 7, 700)):
        if days < most:
            return f"{days // length}{unit}"
    return f"{days // 365}y"


def size(count: float | None) -> str:
    """Bytes in at most five cells: "512M", "10.2G", "1.5T"."""
    if count is None:
        return UNKNOWN
    if count < _KIB:
        return f"{count:.0f}B"
    for unit, limit in (("K", _MIB), ("M", _GIB), ("G", _GIB * 1000)):
        if count < limit:
            value = count / (limit / _KIB if unit != "G" else _GIB)
            return f"{value:.0f}{unit}" if unit in "KM" else f"{value:.1f}{unit}"
    return f"{count / (_GIB * _KIB):.1f}T"


def share(used: int | None, total: int | None) -> str:
    """Used of total as "10.2/15.0G", or what is known of it."""
    if used is None:
        return f"{UNKNOWN}/{size(total)}" if total is not None else UNKNOWN
    if not total:
        return size(used)
    if total >= 100 * _GIB:
        return f"{used / _GIB:.0f}/{total / _GIB:.0f}G"
    if total >= _GIB:
        return f"{used / _GIB:.1f}/{total / _GIB:.1f}G"
    return f"{used / _MIB:.0f}/{total / _MIB:.0f}M"


def container_size(used: int | None) -> str:
    """A container's memory: what is under half a step comes from the agent as 0, and a process
    always has some, so that is "<2M".
    """
    return f"<{size(CONTAINER_MEMORY_STEP_BYTES / 2)}" if used == 0 else size(used)


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{round(value)}%"


def watts(value: float | None) -> str:
    return UNKNOWN if value is None else f"{round(value)}W"


_NOISE = re.compile(
    r"\b(nvidia|tesla|geforce|quadro|graphics device|jetson|developer kit|laptop gpu)\b",
    re.IGNORECASE,
)
# "A100-SXM4-40GB", "H200 NVL", "Orin (nvgpu)": what follows the model's own name.
_TAIL = re.compile(r"([- ](sxm\d*|pcie|nvl|hbm\d\w*|\d+gb|mig)| *\().*$", re.IGNORECASE)


@lru_cache(maxsize=256)
def gpu_model(name: str) -> str:
    """The model without the maker's family names: "NVIDIA A100-SXM4-40GB" is "A100"."""
    short = _NOISE.sub(" ", name)
    short = _TAIL.sub("", " ".join(short.split()))
    return short or name


def gpu_list(models: Iterable[str], glyphs: Glyphs) -> str:
    """How many of each model, most first: "2xT4 1xA10", with the glyphs' own sign."""
    return " ".join(
        f"{number}{glyphs.times}{model}" for model, number in Counter(models).most_common()
    )


def gpus_with_broken(text: str, states: Iterable[str | None]) -> str:
    """`text` says which GPUs there are; "1 lost of 2xT4" where that is so."""
    broken = [state for state in states if state not in {"ok", None}]
    if not broken:
        return text
    return f"{len(broken)} {str(broken[0]).replace('_', ' ')} of {text}"


def join(parts: Sequence[str], separator: str = ", ") -> str:
    """The parts that are not empty."""
    return separator.join(part for part in parts if part)
