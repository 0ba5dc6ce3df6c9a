"""The last stage of a load that brings files: each is put where it belongs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from agent.archives.writing import OpenLayer
from agent.images.placed_files import PlacedFiles
from agent.images.space import Space
from agent.jobs.work import Work
from agent.protocol.node_files import NodeFile, PlannedFile

# A stick or an eMMC: each byte is read, written, and read again.
PLACE_BYTES_PER_SECOND = 1_000_000
PLACE_SECONDS = 300.0

Open = Callable[[str], OpenLayer]  # content by its SHA-256
InThread = Callable[[Callable[[], None]], Awaitable[None]]


class Placer:
    """Places files on one node."""

    def __init__(self, files: PlacedFiles, space: Space) -> None:
        self._files, self._space = files, space

    async def place(
        self,
        work: Work[Any],
        planned: Sequence[PlannedFile],
        content: Open,
        *,
        in_thread: InThread = asyncio.to_thread,
    ) -> dict[str, str]:
        """Have these files; their digests by title. Release files come last: they name the rest.

        Args:
            in_thread: does what blocks; the content may lie on a stick that is pulled out.

        Raises:
            ProblemError: `file.broken`, `space.full`, `blob.*`, and what `content` raises.
        """
        total = sum(each.file.size_bytes for each in planned if each.state == "place")
        await work.stage(
            "placing",
            PLACE_SECONDS + total / PLACE_BYTES_PER_SECOND,
            leaves="some of its files may be there, each of them whole",
        )
        done = 0

        def heard(count: int) -> None:
            nonlocal done
            if work.cancelled:
                raise asyncio.CancelledError
            done += count
            work.progress(done, total)

        for each in sorted(planned, key=lambda each: each.file.kind == "release"):
            if each.state == "present":
                work.log(f"{each.file.title} is there already")
                continue
            await in_thread(partial(self._one, each.file, content, heard))
            how = ", in place of another one" if each.replaces else ""
            work.log(f"{each.file.title} is {each.path}{how}")
        self._space.still_needs(work.job.id, "files", 0)
        return {each.file.title: each.file.sha256 for each in planned}

    def _one(self, file: NodeFile, content: Open, heard: Callable[[int], None]) -> None:
        source = content(file.sha256)
        try:
            self._files.place(file, source, heard)
        finally:
            source.close()
