"""Looking through a node's media, each by itself: one that is dead must not hide the others."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from agent.containers.workers import Workers
from agent.host.real_paths import ROOT, mounts_of
from agent.images.media import Mount, find_mounts, look_through, unseen
from agent.protocol.images import Medium
from agent.protocol.problems import ProblemError

# A slow stick with thousands of files answers within that.
MEDIUM_SECONDS = 8.0
# Dead media hold their thread until they are unmounted: several may be, and others still answer.
THREADS = 8


class Media:
    """The removable media and shares of one node; `root` is its root."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._workers = Workers("media", count=THREADS, waiting=64)
        self._looking: dict[str, asyncio.Future[Medium]] = {}  # by the device's number

    async def look(self) -> list[Medium]:
        """All of them, with their archives, or why one could not be looked through.

        Raises:
            ProblemError: `media.silent` where not even the mounts can be read.
        """
        try:
            mounts = await asyncio.to_thread(find_mounts, mounts_of(self._root))
        except OSError as error:
            raise ProblemError(
                "media.silent",
                f"the mounts of this node cannot be read: {error.strerror}",
                hint="Give the whole path of the archive.",
            ) from None
        return list(await asyncio.gather(*map(self._through, mounts)))

    def stop(self) -> None:
        """End the threads; one that hangs is left."""
        for looking in self._looking.values():
            looking.cancel()
        self._workers.stop()

    async def _through(self, mount: Mount) -> Medium:
        looking = self._looking.get(mount.number)
        if looking is None:
            looking = asyncio.ensure_future(
                self._workers.run(partial(look_through, mount, self._root))
            )
            self._looking[mount.number] = looking
            looking.add_done_callback(lambda _: self._looking.pop(mount.number, None))
        await asyncio.wait({looking}, timeout=MEDIUM_SECONDS)
        if looking.done() and not looking.cancelled() and looking.exception() is None:
            return looking.result()
        silent = unseen(mount, None)
        silent.reason = f"it does not answer; if it was pulled out: umount -l {silent.path}"
        return silent
