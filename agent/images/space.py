"""Space: what a load needs, what others have reserved, and what is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.images.disk import told
from agent.protocol.images import SpaceNeed
from agent.protocol.node import ImageStore

# A disk that is filled to its last byte stops more than images.
SPARE_BYTES = 128 * 1024 * 1024
# What the runtime writes below its own folder for each byte of a new layer, at its peak. Measured
# with 180 MB in three layers of noise: Docker 20.10 (graphdriver) 2.0, its own copy of the archive
# and the unpacked layers; Docker 28 (containerd store) 2.0, the layer itself beside the unpacked
# one; Podman 4.3 3.0 in all, of which only the unpacked layers lie there.
RUNTIME_FACTOR: Mapping[ImageStore | None, float] = {
    "graphdriver": 2.0,
    "containerd": 2.0,
    "podman": 1.0,
    "memory": 0.0,
    None: 2.0,
}
# Podman keeps the archive as it came, and a copy of each layer, where its TMPDIR is; and first
# unpacks the archive in /var/tmp, to see whether it is of another format.
TEMPORARY_FACTOR: Mapping[ImageStore | None, float] = {"podman": 2.0}
TEMPORARY_FOLDER = "/var/tmp"  # noqa: S108 - Podman's own, unless its environment says otherwise


class DiskFree(NamedTuple):
    """The filesystem that a folder is on."""

    device: int
    free_bytes: int


def disk_free(path: Path) -> DiskFree:
    """Of the folder, or the nearest one above it that is there. Raises ProblemError `blob.*`."""
    with told(path):
        while not path.exists() and path != path.parent:
            path = path.parent
        facts = os.statvfs(path)
        return DiskFree(path.stat().st_dev, facts.f_bavail * facts.f_frsize)


class Claim(NamedTuple):
    """Bytes that are wanted in a folder, and its disk as it was then."""

    path: str
    purpose: str  # "blobs", "runtime", "temporary"
    needed_bytes: int
    disk: DiskFree


class Space:
    """The reservations of one node, by who holds them. For one event loop, but for `claim`."""

    def __init__(self, free: Callable[[Path], DiskFree] = disk_free) -> None:
        self._free = free
        self._held: dict[str, dict[tuple[str, int], int]] = {}  # holder: {(purpose, device): bytes}

    def claim(self, path: str, purpose: str, needed_bytes: int) -> Claim:
        """Look at the disk. Blocks; for threads. Raises ProblemError `blob.storage`."""
        return Claim(path, purpose, needed_bytes, self._free(Path(path)))

    def needs(self, claims: Sequence[Claim], *, holder: str | None = None) -> list[SpaceNeed]:
        """The claims by filesystem, with what is free there for `holder`."""
        found: dict[int, SpaceNeed] = {}
        for claim in claims:
            device = claim.disk.device
            need = found.get(device)
            if need is None:
                reserved = self._reserved(device, but=holder)
                found[device] = SpaceNeed(
                    path=claim.path,
                    purposes=[claim.purpose],
                    needed_bytes=claim.needed_bytes,
                    free_bytes=max(0, claim.disk.free_bytes - reserved - SPARE_BYTES),
                    reserved_bytes=reserved,
                    spare_bytes=SPARE_BYTES,
                )
            else:
                need.purposes.append(claim.purpose)
                need.needed_bytes += claim.needed_bytes
        return list(found.values())

    def reserve(self, claims: Sequence[Claim], *, holder: str) -> None:
        """Hold what is still to be written; in place of what `holder` held before."""
        held = self._held[holder] = {}
        for claim in claims:
            key = (claim.purpose, claim.disk.device)
            held[key] = held.get(key, 0) + claim.needed_bytes

    def still_needs(self, holder: str, purpose: str, needed_bytes: int) -> None:
        """Some was written: what is on the disk must not count as reserved, too."""
        held = self._held.get(holder, {})
        for key in held:
            if key[0] == purpose:
                held[key] = min(held[key], needed_bytes)

    def release(self, holder: str) -> None:
        """Give back what `holder` has, if anything."""
        self._held.pop(holder, None)

    def _reserved(self, device: int, *, but: str | None) -> int:
        return sum(
            count
            for holder, held in self._held.items()
            if holder != but
            for (_, where), count in held.items()
            if where == device
        )
