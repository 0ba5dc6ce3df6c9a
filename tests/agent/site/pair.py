"""A seed and a node that fetches from it, with real files, real TLS and real jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from agent.archives.platforms import Platform
from agent.http.certificate import ensure_certificate, fingerprint, server_context
from agent.http.sockets import listen_tcp
from agent.images.blobs import BlobStore, StoredBlob
from agent.images.node_images import NodeImages, images_in
from agent.jobs.jobs import Jobs
from agent.protocol.images import Layer
from agent.protocol.jobs import ENDED, Job
from agent.protocol.site import FetchRequest, GrantRequest, SiteGrant
from agent.site.fetching import Fetcher
from agent.site.node_site import NodeSite
from agent.store.database import Database
from tests.agent.doubles import FixedRuntime
from tests.agent.images.layers import compressed, diff_id, pieces, plain_record, zstd_record


class Side(msgspec.Struct):
    """One node of the pair."""

    site: NodeSite
    fetcher: Fetcher
    images: NodeImages
    jobs: Jobs
    folder: Path

    @property
    def blobs(self) -> BlobStore:
        assert isinstance(self.images.blobs, BlobStore)
        return self.images.blobs

    async def put(self, data: bytes, *, encoder: str | None = None) -> Layer:
        """Have a layer in its store, as a console uploads it."""
        record = plain_record(data)
        sent = data
        if encoder is not None:
            sent = compressed(data)
            record = zstd_record(data, length=len(sent), encoder=encoder)
        state = await self.images.uploads.create(record)
        await self.images.uploads.receive(state.record.id, 0, pieces(sent))
        return Layer(diff_id=diff_id(data), size_bytes=len(data))

    async def grant(self, *layers: Layer, seconds: int = 600) -> SiteGrant:
        request = GrantRequest(diff_ids=[each.diff_id for each in layers], lifetime_seconds=seconds)
        return await self.site.grant(request)

    async def fetch(self, grant: SiteGrant, layers: Sequence[Layer]) -> Job:
        """The fetch job, ended."""
        request = FetchRequest(grant=grant, layers=list(layers))
        job = await self.site.fetch(request, owner="maria", key=None)
        return await self.ended(job)

    async def ended(self, job: Job) -> Job:
        while (job := self.jobs.get(job.id)).state not in ENDED:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.005)
        return job

    def stored(self, layer: Layer) -> bytes:
        """The bytes as they lie in its store."""
        (path,) = self.blobs.folder.glob(f"{layer.diff_id[7:]}*")
        return path.read_bytes()


@asynccontextmanager
async def side(
    folder: Path,
    *,
    name: str,
    listens: bool = False,
    others: Callable[[str], StoredBlob | None] = lambda _: None,
) -> AsyncIterator[Side]:
    """One node's image and site sides; the seed listens on a port of loopback.

    `others` opens what it serves beside layers.
    """
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    database = Database(None)
    runtime, jobs = FixedRuntime(), Jobs(database)
    images = images_in(
        folder,
        runtime=runtime,
        jobs=jobs,
        database=database,
        platform=Platform("linux", "amd64"),
    )
    site = NodeSite(name=name, images=images, jobs=jobs, others=others)
    if listens:
        certificate, key = await asyncio.to_thread(ensure_certificate, folder / "site", name=name)
        site.listen(
            lambda: listen_tcp("127.0.0.1:0"),
            await asyncio.to_thread(server_context, certificate, key),
            await asyncio.to_thread(fingerprint, certificate),
        )
    await images.start()
    await site.start()
    await jobs.start()
    try:
        fetcher = Fetcher(blobs=images.blobs, uploads=images.uploads)
        yield Side(site, fetcher, images, jobs, folder)
    finally:
        await jobs.stop()
        await site.stop()
        await images.stop()
        await asyncio.to_thread(database.close)
