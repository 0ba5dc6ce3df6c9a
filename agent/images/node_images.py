"""The image side of one node: layers that came, images that are loaded from them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from agent.archives.platforms import Platform
from agent.containers.runtime import ContainerRuntime
from agent.containers.workers import Workers, WorkersBusyError
from agent.host.real_paths import ROOT, here
from agent.images.blobs import BlobStore
from agent.images.build_job import BuildImageKind
from agent.images.bundle_source import brings_only_files
from agent.images.freeing import Freeing
from agent.images.import_job import ImportKind, check_path
from agent.images.keeping import Keeper
from agent.images.load_job import LoadKind
from agent.images.loading import Loader, staged_by
from agent.images.naming import Naming
from agent.images.placed_files import FilesOnDisk, PlacedFiles, SimulatedFiles
from agent.images.placing import Placer
from agent.images.planning import Planner
from agent.images.preparing import Preparer
from agent.images.records import ImageRecords
from agent.images.removable import Media
from agent.images.simulated import SimulatedBlobs, SimulatedShelf
from agent.images.small_jobs import RemoveKind, TagKind
from agent.images.space import Space, disk_free
from agent.images.upload_files import FileShelf
from agent.images.uploads import Admit, Uploads
from agent.images.vouching import Vouching
from agent.jobs.jobs import Jobs
from agent.protocol.image_builds import BuildImageRequest
from agent.protocol.images import ImportRequest, LoadPlan, LoadRequest, Medium
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from agent.store.database import Database

# How often staged images and old layers are looked for: what a load that was cut off leaves in the
# runtime may come to light minutes later.
CLEAN_EVERY_SECONDS = 600.0
CLEAN_AGAIN_SECONDS = 5.0
NOT_READY_SECONDS = 1.0
# Threads for reading archives where they lie; each stick that was pulled out may hold one.
READERS = 4

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
        vouching: Vouching | None = None,
        root: Path = ROOT,
    ) -> None:
        """`state` is the agent's folder; None: nothing touches a disk. Registers its jobs.

        `vouching` None: anybody may bring images. `root` is the machine's.
        """
        self._root = root
        self.blobs, self.uploads = blobs, uploads
        self._state, self._jobs = state, jobs
        self._space = Space(lambda path: disk_free(here(path, root)))
        self._keeper = Keeper(blobs, state)
        self.files: PlacedFiles = SimulatedFiles() if state is None else FilesOnDisk(state)
        self._media = Media(root)
        self._readers = Workers("import", count=READERS, waiting=16)
        self._cleaning: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        self._opened = False
        records = ImageRecords(database)
        naming = Naming(runtime, records)
        freeing = Freeing(
            runtime=runtime, blobs=blobs, uploads=uploads, keeper=self._keeper, records=records
        )
        self.planner = Planner(
            runtime=runtime,
            blobs=blobs,
            uploads=uploads,
            records=records,
            space=self._space,
            freeing=freeing,
            files=self.files,
            folder=state,
            platform=platform,
            vouching=vouching,
        )
        self._loader = Loader(
            runtime=runtime,
            planner=self.planner,
            keeper=self._keeper,
            naming=naming,
            records=records,
        )
        preparer = Preparer(planner=self.planner, freeing=freeing, space=self._space)
        placer = Placer(self.files, self._space)
        jobs.register(
            LoadKind(
                preparer=preparer,
                loader=self._loader,
                placer=placer,
                keeper=self._keeper,
                blobs=blobs,
                uploads=uploads,
                space=self._space,
            )
        )
        jobs.register(RemoveKind(runtime=runtime, loader=self._loader))
        jobs.register(BuildImageKind(runtime=runtime, contexts=blobs))
        jobs.register(TagKind(runtime=runtime, naming=naming))
        if isinstance(blobs, BlobStore) and state is not None:
            jobs.register(
                ImportKind(
                    preparer=preparer,
                    loader=self._loader,
                    placer=placer,
                    keeper=self._keeper,
                    blobs=blobs,
                    space=self._space,
                    platform=platform,
                    folder=state / "uploads",
                    workers=self._readers,
                    root=root,
                )
            )

    async def start(self, *, by_itself: bool = True) -> None:
        """Find what is in the state folder, and clean up what a crash left there.

        A folder that cannot be used stops nothing else: uploads are then refused, with the reason,
        until it can.
        Not `by_itself`: there is nothing to find, and nothing is cleaned up.
        """
        if not by_itself:
            self.uploads.open(None)
            return
        try:
            await self._open()
        except ProblemError as problem:
            log.warning("no layers can be taken: %s", problem.detail)
        self._cleaning = asyncio.create_task(self._keep_clean(), name="staged images")

    async def stop(self) -> None:
        """End what is being written; all of it is kept."""
        if self._cleaning is not None:
            self._cleaning.cancel()
            await asyncio.gather(self._cleaning, return_exceptions=True)
        self._media.stop()
        self._readers.stop()
        await self.uploads.stop()

    async def plan(self, request: LoadRequest) -> LoadPlan:
        """What it would take to have these images and files. Raises as `Planner.plan`."""
        check_asked(request)
        job = self._jobs.known("image.load", request)
        planned = await self.planner.plan(
            request.images,
            request.files,
            signed=request.signed,
            holder=None if job is None else job.id,
            make_room=self._jobs.asked("image.load", request).make_room,
        )
        return planned.answer

    async def load(self, request: LoadRequest, *, owner: str, key: str | None) -> Job:
        """The job that has these images, with its space reserved before it is answered.

        Raises:
            ProblemError: `image.*`, `file.clash`, `space.short`, `runtime.*`, and those of
                `Jobs.submit`.
        """
        check_asked(request)
        async with self._asking:
            if self._jobs.known("image.load", request, key=key) is not None:
                return await self._jobs.submit("image.load", request, owner=owner, key=key)
            planned = await self.planner.plan(
                request.images,
                request.files,
                signed=request.signed,
                make_room=request.make_room,
            )
            planned.check()
            if planned.answer.wanted:
                self.uploads.check_open()
            job = await self._jobs.submit("image.load", request, owner=owner, key=key)
            if self._jobs.get(job.id).state not in ENDED:
                self._space.reserve(planned.claims, holder=job.id)
                self._keeper.pin(job.id, request.images, request.files)
            return job

    async def import_from(self, request: ImportRequest, *, owner: str, key: str | None) -> Job:
        """The job that loads an archive which lies on the node.

        Raises:
            ProblemError: `image.path`, `runtime.*`, and those of `Jobs.submit`.
        """
        if self._state is None:
            raise ProblemError(
                "image.path",
                f"{request.path}: this node is simulated, nothing lies on it",
                params={"path": request.path},
                hint="Use a real node.",
            )
        check_path(request.path)
        try:
            await self.planner.images()  # the job would read for long before it needs the runtime
        except ProblemError:
            if not await self._brings_only_files(Path(request.path)):
                raise
        return await self._jobs.submit("image.import", request, owner=owner, key=key)

    async def _brings_only_files(self, path: Path) -> bool:
        try:
            return await self._readers.run(lambda: brings_only_files(here(path, self._root)))
        except WorkersBusyError:  # earlier reads of sticks never came back
            return False

    async def build(self, request: BuildImageRequest, *, owner: str, key: str | None) -> Job:
        """The job that builds an image.

        Raises:
            ProblemError: `blob.not_found`, its context has not come; those of `Jobs.submit`.
        """
        if self._jobs.known("image.build", request, key=key) is None:
            self.blobs.get(request.context)
        return await self._jobs.submit("image.build", request, owner=owner, key=key)

    async def media(self) -> list[Medium]:
        """Removable media and shares, with their archives; none on a simulated node.

        Raises:
            ProblemError: `media.silent`.
        """
        if self._state is None:
            return []
        return await self._media.look()

    async def _open(self) -> None:
        """Raises ProblemError `blob.storage`, `space.full`; then uploads are refused with it."""
        try:
            await asyncio.to_thread(self.blobs.load)
            await asyncio.to_thread(self.files.tidy)
            await self.uploads.start()
        except ProblemError as problem:
            self.uploads.open(problem)
            raise
        self._opened = True

    async def _keep_clean(self) -> None:
        """Once the jobs are found and the runtime answers, and then from time to time."""
        while True:
            try:
                if not self._opened:
                    await self._open()
                self._jobs.newest(limit=1)
                await self.clean()
            except ProblemError as problem:
                early = problem.code == "node.not_ready"
                await asyncio.sleep(NOT_READY_SECONDS if early else CLEAN_AGAIN_SECONDS)
            except Exception:
                log.exception("cleaning up failed")
                await asyncio.sleep(CLEAN_EVERY_SECONDS)
            else:
                await asyncio.sleep(CLEAN_EVERY_SECONDS)

    async def clean(self) -> None:
        """Remove layers that are too old or too many, and images that a load left half-done.

        Raises:
            ProblemError: `runtime.*`, `blob.*`, `store.*`, `node.not_ready`.
        """
        for blob in await self._keeper.evict():
            log.info("layer %s made room, %d bytes", blob.diff_id, blob.stored_bytes)
        await self._loader.sweep(self._is_stray)
        await self._loader.forget_gone()

    def _is_stray(self, staging: str) -> bool:
        """Whether no job is under way that staged this."""
        job = staged_by(staging)
        return all(each.id != job or each.state in ENDED for each in self._jobs.newest())


def check_asked(request: LoadRequest) -> None:
    """Raises ProblemError `image.nothing`: it asks for nothing."""
    if not request.images and not request.files:
        raise ProblemError(
            "image.nothing", "it asks for no image and no file", hint="Name one at least."
        )


def images_in(
    state: Path,
    *,
    runtime: ContainerRuntime,
    jobs: Jobs,
    database: Database,
    platform: Platform,
    admit: Admit | None = None,
    vouching: Vouching | None = None,
    root: Path = ROOT,
) -> NodeImages:
    """Blobs in `state`/blobs, uploads in `state`/uploads; archives below the machine's `root`."""
    blobs = BlobStore(state / "blobs")
    return NodeImages(
        blobs=blobs,
        uploads=Uploads(FileShelf(state / "uploads", blobs), blobs, admit=admit),
        runtime=runtime,
        jobs=jobs,
        database=database,
        platform=platform,
        state=state,
        vouching=vouching,
        root=root,
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
