"""The jobs `image.remove` and `image.tag`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent.containers.runtime import ContainerRuntime
from agent.images.planning import Planner
from agent.images.records import ImageRecords
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.images import RemoveRequest, TagRequest
from agent.protocol.problems import ProblemError
from agent.rules.references import familiar

# Removing a large image from a slow disk takes a minute.
REMOVE_SECONDS = 600.0
TAG_SECONDS = 60.0


class RemoveKind(JobKind[RemoveRequest]):
    """Removes one image after the other; one that cannot go does not keep the others."""

    name = "image.remove"
    request_type = RemoveRequest
    resumable = True
    joins = True

    def __init__(self, *, runtime: ContainerRuntime, planner: Planner) -> None:
        self._runtime, self._planner = runtime, planner

    def subject(self, request: RemoveRequest) -> str:
        return ", ".join(request.images)

    async def run(self, work: Work[RemoveRequest]) -> dict[str, str]:
        await work.stage("removing", REMOVE_SECONDS)
        names = work.request.images
        result: dict[str, str] = {}
        refused: ProblemError | None = None
        for number, name in enumerate(names):
            work.progress(number, len(names), "items")
            try:
                removal = await self._runtime.remove_image(name)
            except ProblemError as problem:
                gone = problem.code == "image.not_found"
                result[name] = "was not there" if gone else problem.detail
                refused = refused if gone else refused or problem
            else:
                result[name] = "removed" if removal.deleted else "tag removed"
            work.log(f"{name}: {result[name]}")
        if refused is not None:
            raise refused
        await asyncio.to_thread(self._planner.records.forget_all_but, await self._runtime.images())
        return result


class TagKind(JobKind[TagRequest]):
    """Gives an image one more name; whichever had it before loses it."""

    name = "image.tag"
    request_type = TagRequest
    resumable = True
    joins = True

    def __init__(self, *, runtime: ContainerRuntime, records: ImageRecords) -> None:
        self._runtime, self._records = runtime, records

    def subject(self, request: TagRequest) -> str:
        return f"{request.image} as {request.tag}"

    def locks(self, request: TagRequest) -> Sequence[str]:
        return [f"tag:{familiar(request.tag)}"]

    async def run(self, work: Work[TagRequest]) -> dict[str, str]:
        await work.stage("tagging", TAG_SECONDS)
        tag = familiar(work.request.tag)
        image = await self._runtime.image(work.request.image)
        before = next((each for each in await self._runtime.images() if tag in each.tags), None)
        if before is not None and before.id != image.id:
            await asyncio.to_thread(self._records.moved, tag, before.id)
            work.log(f"{tag} was {before.id}")
        tagged = await self._runtime.tag_image(image.id, tag)
        return {tag: tagged.id}
