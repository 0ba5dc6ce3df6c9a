"""Which platform's image runs on a node, and which one best: containerd's rules.

Source of the tables: containerd/platforms, `database.go` (normalising) and `compare.go` (`Only`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from agent.archives.faults import shown

T = TypeVar("T")


class Platform(NamedTuple):
    """As the image's config says it; `variant` may be ""."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return shown("/".join(part for part in self if part))


def normalised(platform: Platform) -> Platform:
    """One spelling for each platform: `aarch64` is `arm64`, `arm` is `arm/v7`."""
    system, architecture, variant = (part.lower() for part in platform)
    system = {"macos": "darwin"}.get(system, system)
    if architecture in ("i386", "386"):
        return Platform(system, "386")
    if architecture in ("x86_64", "x86-64", "amd64"):
        return Platform(system, "amd64", "" if variant == "v1" else variant)
    if architecture in ("aarch64", "arm64"):
        plain = {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"}
        return Platform(system, "arm64", plain.get(variant, variant))
    if architecture in ("armhf", "armel"):
        return Platform(system, "arm", {"armhf": "v7", "armel": "v6"}[architecture])
    if architecture == "arm":
        plain = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}
        return Platform(system, "arm", plain.get(variant, variant))
    return Platform(system, architecture, variant)


def runnable(platform: Platform) -> list[Platform]:
    """All that this platform runs, the best first."""
    own = normalised(platform)
    if own.architecture == "amd64":
        older = [Platform(own.os, "amd64", name) for name in _below(own.variant, lowest=1)]
        return [own, *map(normalised, older), Platform(own.os, "386")]
    if own.architecture == "arm":
        return [own, *(Platform(own.os, "arm", name) for name in _below(own.variant, lowest=5))]
    if own.architecture == "arm64":
        own64 = [normalised(Platform(own.os, "arm64", name)) for name in _arm64(own.variant)]
        return [*own64, *(Platform(own.os, "arm", f"v{number}") for number in (8, 7, 6, 5))]
    return [own]


def best(wanted: Platform, offered: Iterable[tuple[Platform, T]]) -> T | None:
    """The offer that fits best; of two alike the first. None when nothing runs there."""
    ranks = {platform: rank for rank, platform in reversed(list(enumerate(runnable(wanted))))}
    fitting = [
        (ranks[own], number, offer)
        for number, (platform, offer) in enumerate(offered)
        if (own := normalised(platform)) in ranks
    ]
    return min(fitting, key=lambda fit: fit[:2])[2] if fitting else None


def _below(variant: str, *, lowest: int) -> list[str]:
    """`v7` runs `v6` and `v5`."""
    number = re.fullmatch(r"v(\d)", variant)
    return [f"v{older}" for older in range(int(number[1]) - 1, lowest - 1, -1)] if number else []


def _arm64(variant: str) -> list[str]:
    """`v8.2` runs `v8.1` and `v8`; `v9.1` runs `v9` and all up to `v8.6`."""
    number = re.fullmatch(r"v([89])(?:\.(\d))?", variant or "v8")
    if number is None:
        return [variant]
    major, minor = int(number[1]), int(number[2] or 0)
    names = [f"v{major}.{older}" for older in range(minor, -1, -1)]
    if major == 9:
        names += [f"v8.{older}" for older in range(minor + 5, -1, -1)]
    return names
