"""What a node knows of layers: its blob store and the uploads that fill it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from agent.images.blobs import BlobStore
from agent.images.simulated import SimulatedBlobs, SimulatedShelf
from agent.images.upload_files import FileShelf
from agent.images.uploads import Admit, Uploads
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)


class NodeImages:
    """The image side of one node."""

    def __init__(self, blobs: BlobStore | SimulatedBlobs, uploads: Uploads) -> None:
        self.blobs, self.uploads = blobs, uploads

    async def start(self, *, by_itself: bool = True) -> None:
        """Find what is in the state folder, and clean up what a crash left there.

        A folder that cannot be used stops nothing else: uploads are then refused, with the reason.
        Not `by_itself`: there is nothing to find, and nothing is cleaned up.
        """
        if not by_itself:
            self.uploads.open(None)
            return
        try:
            await asyncio.to_thread(self.blobs.load)
            await self.uploads.start()
        except ProblemError as problem:
            log.warning("no layers can be taken: %s", problem.detail)
            self.uploads.open(problem)

    async def stop(self) -> None:
        """End what is being written; all of it is kept."""
        await self.uploads.stop()


def images_in(state: Path, *, admit: Admit | None = None) -> NodeImages:
    """Blobs in `state`/blobs, uploads in `state`/uploads."""
    blobs = BlobStore(state / "blobs")
    return NodeImages(blobs, Uploads(FileShelf(state / "uploads", blobs), blobs, admit=admit))


def simulated_images() -> NodeImages:
    """For a simulated node: no files, no threads of its own."""
    blobs = SimulatedBlobs()
    return NodeImages(blobs, Uploads(SimulatedShelf(blobs), blobs, own_threads=False))
