"""What a node knows of layers: its blob store and the uploads that fill it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.images.blobs import BlobStore
from agent.images.simulated import SimulatedBlobs, SimulatedShelf
from agent.images.upload_files import FileShelf
from agent.images.uploads import Admit, Uploads


class NodeImages:
    """The image side of one node."""

    def __init__(self, blobs: BlobStore | SimulatedBlobs, uploads: Uploads) -> None:
        self.blobs, self.uploads = blobs, uploads

    async def start(self) -> None:
        """Find what is in the state folder, and clean up what a crash left there.

        Raises:
            ProblemError: `blob.storage`, `space.full`.
        """
        await asyncio.to_thread(self.blobs.load)
        await self.uploads.start()

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
