"""Space: what a load needs, what others have reserved, and what is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.protocol.images import SpaceNeed
from agent.protocol.node import ImageStore

# A disk that is filled to its last byte stops more than images.
SPARE_BYTES = 128 * 1024 * 1024
# What the runtime writes for each byte of a new layer, at its peak. Docker 20.10 (graphdriver)
# took 1,183 MB for an archive of 629 MB: its own copy of the archive, and the unpacked layers.
# Its containerd store keeps the layer itself beside the unpacked one; Podman spools the archive,
# and unpacks each layer from a copy.
RUNTIME_FACTOR: Mapping[ImageStore | None, float] = {
    "graphdriver": 2.0,
    "containerd": 2.0,
    "podman": 3.0,
    "memory": 0.0,
    None: 2.0,
}


class DiskFree(NamedTuple):
    """The filesystem that a folder is on."""

    device: int
    free_bytes: int


def disk_free(path: Path) -> DiskFree:
    """Of the folder, or the nearest one above it that is there. Raises OSError."""
    while not path.exists() and path != path.parent:
        path = path.parent
    facts = os.statvfs(path)
    return DiskFree(path.stat().st_dev, facts.f_bavail * facts.f_frsize)


class Claim(NamedTuple):
    """Bytes that are wanted in a folder."""

    path: str
    purpose: str  # "blobs", "runtime"
    needed_bytes: int


class Space:
    """The reservations of one node, by who holds them. Blocks on the disk; for threads."""

    def __init__(self, free: Callable[[Path], DiskFree] = disk_free) -> None:
        self._free = free
        self._held: dict[str, list[tuple[int, int]]] = {}  # holder: (device, bytes)

    def needs(self, claims: Sequence[Claim], *, holder: str | None = None) -> list[SpaceNeed]:
        """The claims by filesystem, with what is free there for `holder`."""
        found: dict[int, SpaceNeed] = {}
        for claim in claims:
            disk = self._free(Path(claim.path))
            need = found.get(disk.device)
            if need is None:
                reserved = self._reserved(disk.device, but=holder)
                found[disk.device] = SpaceNeed(
                    path=claim.path,
                    purposes=[claim.purpose],
                    needed_bytes=claim.needed_bytes,
                    free_bytes=max(0, disk.free_bytes - reserved - SPARE_BYTES),
                )
            else:
                need.purposes.append(claim.purpose)
                need.needed_bytes += claim.needed_bytes
        return list(found.values())

    def reserve(self, claims: Sequence[Claim], *, holder: str) -> None:
        """Hold what is still to be written; in place of what `holder` held before."""
        self._held[holder] = [
            (self._free(Path(claim.path)).device, claim.needed_bytes) for claim in claims
        ]

    def release(self, holder: str) -> None:
        """Give back what `holder` has, if anything."""
        self._held.pop(holder, None)

    def _reserved(self, device: int, *, but: str | None) -> int:
        return sum(
            count
            for holder, held in self._held.items()
            if holder != but
            for where, count in held
            if where == device
        )
