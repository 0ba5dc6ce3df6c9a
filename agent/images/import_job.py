"""The job `image.import`: an archive that lies on the node is loaded from there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.archives.bundle_parts import facts_of
from agent.archives.faults import FaultError
from agent.archives.index import ArchiveIndex
from agent.archives.layers import read_layers
from agent.archives.platforms import Platform
from agent.containers.workers import Workers, WorkersBusyError
from agent.host.real_paths import ROOT, below, here
from agent.images.blobs import BlobStore
from agent.images.bundle_source import (
    check_complete,
    layers_from,
    read_index,
    with_bases,
)
from agent.images.disk import told
from agent.images.keeping import Keeper
from agent.images.loading import Loader, Source
from agent.images.placing import Placer
from agent.images.planning import Planned
from agent.images.preparing import Preparer
from agent.images.space import Space
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.images import ImageContent, ImportRequest, Layer
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError

# A USB 2 stick reads some 20 MB/s, a bad one a tenth of that.
READ_BYTES_PER_SECOND = 2_000_000
READ_SECONDS = 300.0
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
        preparer: Preparer,
        loader: Loader,
        placer: Placer,
        keeper: Keeper,
        blobs: BlobStore,
        space: Space,
        platform: Platform,
        folder: Path,
        workers: Workers,
        root: Path = ROOT,
    ) -> None:
        """`folder` takes layers before they are blobs; it is on the blobs' filesystem.

        `workers` read: a stick that is pulled out may hold a thread for ever.
        `root` is the machine's, where the archives are.
        """
        self._root = root
        self._preparer, self._loader, self._keeper = preparer, loader, keeper
        self._placer = placer
        self._blobs, self._space, self._platform = blobs, space, platform
        self._folder, self._workers = folder, workers

    def subject(self, request: ImportRequest) -> str:
        return request.path

    def ended(self, job: Job) -> None:
        """Give back its space and its layers, also where it never ran."""
        self._space.release(job.id)
        self._keeper.release(job.id)

    def identity(self, request: ImportRequest) -> ImportRequest:
        return msgspec.structs.replace(request, make_room=False)

    def joined(self, request: ImportRequest, joining: ImportRequest) -> ImportRequest:
        """Whoever gave the word to make room, it stands."""
        make_room = request.make_room or joining.make_room
        return msgspec.structs.replace(request, make_room=make_room)

    def locks(self, request: ImportRequest) -> tuple[str, ...]:
        return (f"file:{request.path}",)

    async def run(self, work: Work[ImportRequest]) -> dict[str, str]:
        try:
            return await self._import(work)
        except ProblemError as problem:
            raise _as_named(problem, self._root) from None

    async def _import(self, work: Work[ImportRequest]) -> dict[str, str]:
        index = await self._index(work, work.request.path)
        contents = [index.content(image) for image in index.for_platform(*self._platform)]
        self._keeper.pin(work.job.id, contents, index.files)
        plain = index.compression == "none"
        indexes = [index]
        if index.elsewhere:
            indexes = await self._in_thread(Path(index.path), lambda: with_bases(index))
        open_layer = layers_from(indexes, self._keeper.open) if plain else self._keeper.open
        result: dict[str, str] = {}
        if contents:
            result = await self._loader.have(
                work, contents, lambda: self._ready(work, indexes, contents), Source(open_layer)
            )
        if index.files:
            planned = await self._ready(work, indexes, [])
            result |= await self._placer.place(
                work,
                planned.answer.files,
                open_layer,
                in_thread=lambda call: self._in_thread(Path(index.path), call),
            )
        return result

    async def _index(self, work: Work[ImportRequest], named: str) -> ArchiveIndex:
        path = below(Path(named), self._root)
        path = await self._in_thread(path, lambda: here(named, self._root))
        size = await self._in_thread(path, lambda: _size(path))
        await work.stage("reading", READ_SECONDS + size / READ_BYTES_PER_SECOND)

        def heard(done: int, total: int) -> None:
            if work.cancelled:
                raise asyncio.CancelledError
            work.progress(done, total)

        index = await self._in_thread(path, lambda: read_index(path, heard))
        files = f", {len(index.files)} files" if index.files else ""
        work.log(f"{named}: {len(index.images)} images, {len(index.layers)} layers{files}")
        return index

    async def _ready(
        self, work: Work[ImportRequest], indexes: list[ArchiveIndex], contents: list[ImageContent]
    ) -> Planned:
        index = indexes[0]
        copied = index.compression != "none"
        planned = await self._preparer.prepare(
            work,
            contents,
            index.files,
            signed=index.signed,
            on_node={layer.diff_id for each in indexes for layer in each.layers},
            copied=copied,
        )
        check_complete(index, planned)
        if copied:
            await self._copy(work, index, planned.load.needed)
        return planned

    async def _copy(
        self, work: Work[ImportRequest], index: ArchiveIndex, needed: list[Layer]
    ) -> None:
        """Unpack the layers that are needed into the blob store, in one pass."""
        lacking = [layer for layer in needed if not self._blobs.has(layer.diff_id)]
        if not lacking:
            return
        total = sum(layer.size_bytes for layer in lacking)
        # What lies before and between them in the file is read, too.
        seconds = READ_SECONDS + (total + index.size_bytes) / READ_BYTES_PER_SECOND
        await work.stage("unpacking", seconds)
        wanted = {layer.diff_id for layer in lacking}
        await self._in_thread(
            Path(index.path), lambda: self._copy_layers(work, index, wanted, total)
        )
        self._space.still_needs(work.job.id, "blobs", 0)

    def _copy_layers(
        self, work: Work[ImportRequest], index: ArchiveIndex, wanted: set[str], total: int
    ) -> None:
        done = 0
        # Named so that a start removes it, as it removes all that is no upload.
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

    async def _in_thread(self, path: Path, call: Callable[[], T]) -> T:
        try:
            return await self._workers.run(call)
        except WorkersBusyError:
            raise ProblemError(
                "media.silent",
                f"{path} cannot be read: earlier reads of this node's media never came back",
                params={"path": str(path)},
                hint="Unmount what was pulled out (umount -l PATH), or restart the agent.",
            ) from None


def check_path(path: str) -> None:
    """Raises ProblemError `image.path` unless it can be the whole path of a file."""
    if not path.startswith("/") or "\0" in path:
        raise ProblemError(
            "image.path",
            f"{path!r} is not the whole path of a file on the node",
            params={"path": path},
            hint="Begin it with a slash; roost image import NODE without a path lists archives.",
        )


def _as_named(problem: ProblemError, root: Path) -> ProblemError:
    """With the machine's own paths."""
    if root == ROOT:
        return problem

    def named(text: str) -> str:
        return text.replace(f"{root}/", "/")

    params = {
        key: named(value) if isinstance(value, str) else value
        for key, value in problem.params.items()
    }
    return ProblemError(
        problem.code,
        named(problem.detail),
        params=params,
        hint=problem.hint and named(problem.hint),
    )


def _size(path: Path) -> int:
    """Of the file, or all parts of a bundle; of a folder, of the blobs in it."""
    try:
        blobs = path / "blobs" / "sha256"
        if blobs.is_dir():
            return sum(entry.stat().st_size for entry in os.scandir(blobs))
        return facts_of(path).size_bytes if path.is_file() else path.stat().st_size
    except FaultError as fault:
        raise fault.problem(str(path)) from None
    except OSError as error:
        raise ProblemError(
            "archive.unreadable",
            f"{path}: {error.strerror}",
            params={"file": str(path)},
            hint="Is the stick still in? roost image import NODE without a path lists archives.",
        ) from None
