"""Which layers stay on the node: those that a job under way needs, and others for a while."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from agent.images.blobs import Blob, Blobs
from agent.images.disk import told
from agent.protocol.images import ImageContent
from agent.protocol.node_files import NodeFile
from agent.protocol.problems import ProblemError
from agent.rules.loading import config_digest

# The layers of a CUDA and TensorRT base are some 4 GB in zstd, those of an application on it a
# tenth of that: enough for the bases of four such families. On a small disk it is an eighth, which
# leaves the runtime, which has the same layers unpacked, the most of it.
KEPT_BYTES = 20 * 10**9
KEPT_SHARE = 1 / 8
# A site that gets a release each quarter still finds the base of the one before.
KEPT_SECONDS = 120 * 86400.0
# What lies in its place is not needed twice; the others of a site may fetch it for so long.
PLACED_SECONDS = 86400.0
HASH_BYTES = 1024 * 1024


class Keeper:
    """Pins what jobs need in one node's blob store. For one event loop; the disk is in threads."""

    def __init__(self, blobs: Blobs, folder: Path | None) -> None:
        """`folder` is on the disk of the blobs; None: they take none."""
        self._blobs, self._folder = blobs, folder
        self._pins: dict[str, frozenset[str]] = {}

    def pin(
        self, holder: str, contents: Iterable[ImageContent], files: Iterable[NodeFile] = ()
    ) -> None:
        """Keep the images and all their layers: a base may vanish from the runtime meanwhile.

        And the files: what is there may be replaced by others until their turn comes.
        """
        images = {
            name
            for content in contents
            for name in (config_digest(content), *(layer.diff_id for layer in content.layers))
        }
        self._pins[holder] = frozenset(images | {file.sha256 for file in files})

    def release(self, holder: str) -> None:
        """Give up what `holder` has pinned, if anything."""
        self._pins.pop(holder, None)

    def pinned(self, *, but: str | None = None) -> set[str]:
        """Digests of layers and configs that anybody, `but` one holder, has pinned."""
        return {name for holder, names in self._pins.items() if holder != but for name in names}

    async def evict(self) -> Sequence[Blob]:
        """Remove what is too old or too much, and answer it. Raises ProblemError `blob.*`."""
        return await asyncio.to_thread(self._evict, self.pinned())

    def _evict(self, pinned: Collection[str]) -> Sequence[Blob]:
        if self._folder is None:
            return []
        with told(self._folder):
            facts = os.statvfs(self._folder)
        size = facts.f_blocks * facts.f_frsize
        return self._blobs.evict(
            keep_bytes=min(KEPT_BYTES, int(size * KEPT_SHARE)),
            max_age_seconds=KEPT_SECONDS,
            pinned=pinned,
        )

    async def placed(self, files: Iterable[NodeFile]) -> None:
        """These lie where they belong: what they came as goes first, and soon."""

        def age() -> None:
            for file in files:
                self._blobs.age(file.sha256, KEPT_SECONDS - PLACED_SECONDS)

        await asyncio.to_thread(age)

    def open(self, diff_id: str) -> StoredLayer:
        """A layer for the runtime. Raises ProblemError `blob.not_found`, `blob.storage`."""
        return StoredLayer(diff_id, self._blobs.open(diff_id))

    async def drop_damaged(self, diff_ids: Iterable[str]) -> list[str]:
        """Hash these layers again, and remove those that are not what they were."""
        wrong = [name for name in diff_ids if not await asyncio.to_thread(self._is_whole, name)]
        for diff_id in wrong:
            await asyncio.to_thread(self._blobs.remove, diff_id)
        return wrong

    def _is_whole(self, diff_id: str) -> bool:
        """Also of one that is not there, for there is nothing to remove."""
        if not self._blobs.has(diff_id):
            return True
        digest = hashlib.sha256()
        try:
            layer = self.open(diff_id)
            try:
                while piece := layer.read(HASH_BYTES):
                    digest.update(piece)
            finally:
                layer.close()
        except ProblemError:
            return False
        return f"sha256:{digest.hexdigest()}" == diff_id


class StoredLayer:
    """A blob that is read; what the disk refuses is a problem that names the layer."""

    def __init__(self, diff_id: str, file: BinaryIO) -> None:
        self._name, self._file = Path(f"layer {diff_id}"), file

    def read(self, count: int, /) -> bytes:
        """Raises ProblemError `blob.storage`."""
        with told(self._name):
            return self._file.read(count)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
