"""The image side of one node: layers that came, images that are loaded from them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from anyio import fail_after

from agent.archives.platforms import Platform
from agent.containers.runtime import ContainerRuntime
from agent.containers.workers import Workers
from agent.images.blobs import BlobStore
from agent.images.import_job import ImportKind, check_path
from agent.images.load_job import LoadKind
from agent.images.loading import Loader
from agent.images.media import find_media
from agent.images.planning import Planner
from agent.images.records import ImageRecords
from agent.images.simulated import SimulatedBlobs, SimulatedShelf
from agent.images.small_jobs import RemoveKind, TagKind
from agent.images.space import Space
from agent.images.upload_files import FileShelf
from agent.images.uploads import Admit, Uploads
from agent.jobs.jobs import Jobs
from agent.protocol.images import ImportRequest, LoadRequest, Medium
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.store.database import Database

# How long media may take to be looked through: a stick that was pulled out never answers.
MEDIA_SECONDS = 10.0
SWEEP_AGAIN_SECONDS = 15.0

log = logging.getLogger(__name__)


class NodeImages:
    """What the handlers of one node need for images."""

    def __init__(
        self,
        *,
        blobs: BlobStore | SimulatedBlobs,
        uploads: Uploads,
        runtime: ContainerRuntime,
        jobs: Jobs,
        database: Database,
        platform: Platform,
        state: Path | None,
    ) -> None:
        """`state` is the agent's folder; None: nothing touches a disk. Registers its jobs."""
        self.blobs, self.uploads = blobs, uploads
        records = ImageRecords(database)
        self._space = Space()
        self.planner = Planner(
            runtime=runtime,
            blobs=blobs,
            uploads=uploads,
            records=records,
            space=self._space,
            folder=state,
            platform=platform,
        )
        self._loader = Loader(runtime=runtime, planner=self.planner, records=records)
        self._jobs = jobs
        self._media = Workers("media", count=1, waiting=8)
        self._state = state
        self._sweeping: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        jobs.register(
            LoadKind(
                planner=self.planner,
                loader=self._loader,
                blobs=blobs,
                uploads=uploads,
                space=self._space,
            )
        )
        jobs.register(RemoveKind(runtime=runtime, planner=self.planner))
        jobs.register(TagKind(runtime=runtime, records=records))
        if isinstance(blobs, BlobStore) and state is not None:
            jobs.register(
                ImportKind(
                    runtime=runtime,
                    planner=self.planner,
                    loader=self._loader,
                    blobs=blobs,
                    space=self._space,
                    platform=platform,
                    folder=state / "uploads",
                )
            )

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
        self._sweeping = asyncio.create_task(self._sweep(), name="staged images")

    async def stop(self) -> None:
        """End what is being written; all of it is kept."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        self._media.stop()
        await self.uploads.stop()

    async def load(self, request: LoadRequest, *, owner: str, key: str | None) -> Job:
        """The job that has these images, with its space reserved before it is answered.

        Raises:
            ProblemError: `image.*`, `space.short`, `runtime.*`, and those of `Jobs.submit`.
        """
        async with self._asking:
            planned = await self.planner.plan(request.images)
            if not self._jobs.under_way("image.load", request):
                planned.check()
            job = await self._jobs.submit("image.load", request, owner=owner, key=key)
            if job.state == "queued":
                await asyncio.to_thread(self._space.reserve, planned.claims, holder=job.id)
            return job

    async def import_from(self, request: ImportRequest, *, owner: str, key: str | None) -> Job:
        """The job that loads an archive which lies on the node.

        Raises:
            ProblemError: `image.path`, and those of `Jobs.submit`.
        """
        if self._state is None:
            raise ProblemError(
                "image.path",
                f"{request.path}: this node is simulated, nothing lies on it",
                params={"path": request.path},
                hint="Use a real node.",
            )
        check_path(Path(request.path))
        return await self._jobs.submit("image.import", request, owner=owner, key=key)

    async def media(self) -> list[Medium]:
        """Removable media and shares, with their archives; none on a simulated node.

        Raises:
            ProblemError: `media.silent`.
        """
        if self._state is None:
            return []
        try:
            with fail_after(MEDIA_SECONDS):
                return await self._media.run(find_media)
        except (TimeoutError, OSError) as error:
            raise ProblemError(
                "media.silent",
                f"the media of this node cannot be looked through: {str(error) or 'no answer'}",
                hint="A stick that was pulled out, or a share that is away, may hold it up:"
                " unmount it (umount -l PATH), then try again.",
            ) from None

    async def _sweep(self) -> None:
        """Once the runtime answers: remove images that an agent before left half-loaded."""
        while True:
            try:
                jobs = [job.id for job in self._jobs.newest()]
                await self._loader.sweep(but=jobs)
            except ProblemError:
                await asyncio.sleep(SWEEP_AGAIN_SECONDS)
            else:
                return


def images_in(
    state: Path,
    *,
    runtime: ContainerRuntime,
    jobs: Jobs,
    database: Database,
    platform: Platform,
    admit: Admit | None = None,
) -> NodeImages:
    """Blobs in `state`/blobs, uploads in `state`/uploads."""
    blobs = BlobStore(state / "blobs")
    return NodeImages(
        blobs=blobs,
        uploads=Uploads(FileShelf(state / "uploads", blobs), blobs, admit=admit),
        runtime=runtime,
        jobs=jobs,
        database=database,
        platform=platform,
        state=state,
    )


def simulated_images(
    *, runtime: ContainerRuntime, jobs: Jobs, database: Database, platform: Platform
) -> NodeImages:
    """For a simulated node: no files, no threads of its own."""
    blobs = SimulatedBlobs()
    return NodeImages(
        blobs=blobs,
        uploads=Uploads(SimulatedShelf(blobs), blobs, own_threads=False),
        runtime=runtime,
        jobs=jobs,
        database=database,
        platform=platform,
        state=None,
    )
