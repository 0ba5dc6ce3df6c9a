"""The job `image.import`: an archive that lies on the node is loaded from there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer, read_layers
from agent.archives.platforms import Platform
from agent.containers.runtime import ContainerRuntime
from agent.containers.workers import Workers
from agent.images.blobs import BlobStore
from agent.images.disk import told
from agent.images.freeing import make_room
from agent.images.loading import Loader, Open
from agent.images.planning import Planned, Planner
from agent.images.space import Claim, Space
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.images import ImportRequest, Layer
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError

# A USB 2 stick reads some 20 MB/s, a bad one a tenth of that.
READ_BYTES_PER_SECOND = 2_000_000
READ_SECONDS = 300.0
PLAN_SECONDS = 120.0
PIECE_BYTES = 1 << 20

T = TypeVar("T")


class ImportKind(JobKind[ImportRequest]):
    """Resumable: it begins again, and finds what is loaded already.

    A plain archive is read where it lies. The layers of a compressed one go through the blob
    store, because they come in another order than the runtime wants them.
    """

    name = "image.import"
    request_type = ImportRequest
    resumable = True
    joins = True

    def __init__(
        self,
        *,
        runtime: ContainerRuntime,
        planner: Planner,
        loader: Loader,
        blobs: BlobStore,
        space: Space,
        platform: Platform,
        folder: Path,
    ) -> None:
        """`folder` takes layers before they are blobs; it is on the blobs' filesystem."""
        self._runtime, self._planner, self._loader = runtime, planner, loader
        self._blobs, self._space, self._platform = blobs, space, platform
        self._folder = folder
        # A stick that is pulled out may hold a thread for ever.
        self._workers = Workers("import", count=4, waiting=16)

    def subject(self, request: ImportRequest) -> str:
        return request.path

    def ended(self, job: Job) -> None:
        """Give back its space, also where it never ran."""
        self._space.release(job.id)

    def locks(self, request: ImportRequest) -> tuple[str, ...]:
        return (f"file:{request.path}",)

    async def run(self, work: Work[ImportRequest]) -> dict[str, str]:
        index = await self._index(work, Path(work.request.path))
        images = index.for_platform(*self._platform)
        contents = [index.content(image) for image in images]
        await work.stage("planning", PLAN_SECONDS)
        planned = await self._planner.plan(
            contents, on_node={layer.diff_id for layer in index.layers}, holder=work.job.id
        )
        planned.check()
        await self._reserve(work, index, planned)
        plain = index.compression == "none"
        if not plain:
            await self._keep(work, index, planned.load.needed)
        source: Open = partial(open_layer, index) if plain else self._blobs.open
        return await self._loader.load(work, contents, planned, source)

    async def _index(self, work: Work[ImportRequest], path: Path) -> ArchiveIndex:
        size = await self._in_thread(lambda: _size(path))
        await work.stage("reading", READ_SECONDS + size / READ_BYTES_PER_SECOND)

        def heard(done: int, total: int) -> None:
            if work.cancelled:
                raise asyncio.CancelledError
            work.progress(done, total)

        index = await self._in_thread(lambda: index_archive(path, heard=heard))
        work.log(f"{path}: {len(index.images)} images, {len(index.layers)} layers")
        return index

    async def _reserve(
        self, work: Work[ImportRequest], index: ArchiveIndex, planned: Planned
    ) -> None:
        claims = list(planned.claims)
        if index.compression != "none":
            copied = sum(layer.size_bytes for layer in planned.load.needed)
            claims.append(Claim(str(self._folder), "blobs", copied))
        await asyncio.to_thread(self._space.reserve, claims, holder=work.job.id)
        await make_room(planned.answer.frees, runtime=self._runtime, blobs=self._blobs)

    async def _keep(
        self, work: Work[ImportRequest], index: ArchiveIndex, needed: list[Layer]
    ) -> None:
        """Unpack the layers that are needed into the blob store, in one pass."""
        wanted = {layer.diff_id for layer in needed if not self._blobs.has(layer.diff_id)}
        if not wanted:
            return
        total = sum(layer.size_bytes for layer in needed if layer.diff_id in wanted)
        await work.stage("unpacking", READ_SECONDS + total / READ_BYTES_PER_SECOND)
        await self._in_thread(lambda: self._copy(work, index, wanted, total))

    def _copy(
        self, work: Work[ImportRequest], index: ArchiveIndex, wanted: set[str], total: int
    ) -> None:
        done = 0
        spool = self._folder / f"import-{work.job.id}"
        try:
            for layer, reader in read_layers(index, wanted):
                with told(spool), spool.open("wb") as file:
                    while piece := reader.read(PIECE_BYTES):
                        if work.cancelled:
                            raise asyncio.CancelledError
                        file.write(piece)
                        done += len(piece)
                        work.progress(done, total)
                    file.flush()
                    os.fsync(file.fileno())
                self._blobs.add(spool, layer.diff_id, layer.size_bytes, compressed=False)
        finally:
            with told(spool):
                spool.unlink(missing_ok=True)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await self._workers.run(call)


def check_path(path: Path) -> None:
    """Raises ProblemError `image.path` unless it is an absolute path."""
    if not path.is_absolute():
        raise ProblemError(
            "image.path",
            f"{path} is not the whole path of a file on the node",
            params={"path": str(path)},
            hint="Begin it with a slash; roost image import NODE without a path lists archives.",
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ProblemError(
            "archive.unreadable",
            f"{path}: {error.strerror}",
            params={"file": str(path)},
            hint="Is the stick still in? roost image import NODE without a path lists archives.",
        ) from None
