"""The image side of an agent in this process: over any runtime, with its files in a folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from agent.archives.platforms import Platform
from agent.containers.runtime import ContainerRuntime
from agent.images.node_images import NodeImages, images_in
from agent.images.upload_record import new_record
from agent.jobs.jobs import Jobs
from agent.protocol.images import ImageContent, Layer, LoadPlan, LoadRequest, NodeImage
from agent.protocol.jobs import ENDED, Job
from agent.store.database import Database
from tests.agent.images.layers import diff_id, pieces
from tests.archives_made import Made
from tests.waiting import until


def content(made: Made) -> ImageContent:
    """The image as a console asks for it."""
    return ImageContent(
        config=made.config,
        layers=[Layer(diff_id=diff_id(data), size_bytes=len(data)) for data in made.layers],
        tags=list(made.tags),
    )


def request(*images: Made, source: str = "made.tar", make_room: bool = False) -> LoadRequest:
    contents = [content(made) for made in images]
    return LoadRequest(images=contents, source=source, make_room=make_room)


class ImageSide:
    """What handlers would call, and a console that has all layers."""

    def __init__(self, images: NodeImages, jobs: Jobs, runtime: ContainerRuntime) -> None:
        self.images, self.jobs, self.runtime = images, jobs, runtime

    async def plan(self, *images: Made, make_room: bool = False) -> LoadPlan:
        return await self.images.plan(request(*images, make_room=make_room))

    async def load(
        self,
        *images: Made,
        owner: str = "maria",
        key: str | None = None,
        source: str = "made.tar",
        make_room: bool = False,
    ) -> Job:
        asked = request(*images, source=source, make_room=make_room)
        return await self.images.load(asked, owner=owner, key=key)

    async def send(self, *layers: bytes) -> None:
        """Upload these, plain."""
        for data in layers:
            made = new_record({"diff_id": diff_id(data)}, length=len(data), header="")
            state = await self.images.uploads.create(made)
            await self.images.uploads.receive(state.record.id, state.offset, pieces(data))

    async def send_wanted(self, *images: Made) -> list[str]:
        """Upload what is wanted now; the diff_ids of it."""
        layers = {diff_id(data): data for made in images for data in made.layers}
        wanted = [layer.diff_id for layer in (await self.plan(*images)).wanted]
        await self.send(*(layers[name] for name in wanted))
        return wanted

    async def push(self, *images: Made) -> Job:
        """Load, send what is wanted, and wait for the end."""
        job = await self.load(*images)
        await self.send_wanted(*images)
        return await self.ended(job)

    async def ended(self, job: Job) -> Job:
        await until(lambda: self.jobs.get(job.id).state in ENDED)
        return self.jobs.get(job.id)

    async def at_stage(self, job: Job, stage: str) -> None:
        await until(lambda: self.jobs.get(job.id).stage == stage)

    async def log(self, job: Job) -> str:
        lines = [line.text async for batch in self.jobs.log(job.id, follow=False) for line in batch]
        return "\n".join(lines)

    async def image(self, tag: str) -> NodeImage | None:
        return next((one for one in await self.images.planner.images() if tag in one.tags), None)

    async def tags(self) -> list[str]:
        """Of all images, but those of the tests' own small one."""
        found = [tag for one in await self.runtime.images() for tag in one.tags]
        return sorted(tag for tag in found if not tag.startswith("roost-test/"))


@contextlib.asynccontextmanager
async def image_side(
    state: Path, runtime: ContainerRuntime, *, architecture: str = "amd64"
) -> AsyncIterator[ImageSide]:
    """Started over a runtime that is; ended as an agent is by SIGTERM."""
    await asyncio.to_thread(state.mkdir, parents=True, exist_ok=True)
    database = Database(state / "agent.db")
    jobs = Jobs(database)
    images = images_in(
        state,
        runtime=runtime,
        jobs=jobs,
        database=database,
        platform=Platform("linux", architecture),
    )
    await images.start()
    await jobs.start()
    try:
        yield ImageSide(images, jobs, runtime)
    finally:
        await jobs.stop()
        await images.stop()
        await asyncio.to_thread(database.close)


def files(state: Path) -> Sequence[str]:
    """What lies in the folder of uploads."""
    return sorted(path.name for path in (state / "uploads").iterdir())
