"""The job `image.build`: an image out of a context that was sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

from agent.containers.images_runtime import ImageRuntime
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.image_builds import BuildImageRequest
from agent.rules.loading import checked_tag
from agent.rules.references import familiar

# Wheels are unpacked and layers written; a base that is pulled over a slow link takes longest.
BUILD_SECONDS = 2 * 3600.0
READ_BYTES = 256 * 1024
_STEP = re.compile(r"S(?:tep|TEP) (?P<number>[0-9]{1,4})/(?P<of>[0-9]{1,4})\b")


class Contexts(Protocol):
    """Where contexts lie: the blob store."""

    def open(self, diff_id: str) -> BinaryIO:
        """Raises ProblemError `blob.not_found`."""

    def remove(self, diff_id: str) -> None: ...


class BuildImageKind(JobKind[BuildImageRequest]):
    """One build at a time. What was half built is the runtime's to clean up."""

    name = "image.build"
    request_type = BuildImageRequest
    resumable = True
    joins = True
    # Docker's builds end at once, Podman's not before they have been built.
    cancel_seconds = 120.0

    def __init__(self, *, runtime: ImageRuntime, contexts: Contexts) -> None:
        self._runtime, self._contexts = runtime, contexts

    def subject(self, request: BuildImageRequest) -> str:
        return request.tag

    def locks(self, request: BuildImageRequest) -> Sequence[str]:
        return [f"tag:{familiar(request.tag)}"]

    async def run(self, work: Work[BuildImageRequest]) -> dict[str, str]:
        request = work.request
        await work.stage("building", BUILD_SECONDS, leaves="layers that no image has a name for")
        checked_tag(request.tag)
        steps = 0

        def told(line: str) -> None:
            nonlocal steps
            if found := _STEP.match(line):
                steps = int(found["of"])
                work.progress(int(found["number"]) - 1, steps, "items")
            work.log(line)

        image = await self._runtime.build_image(
            _chunks(self._contexts, request.context), request, told
        )
        await self._runtime.check_image(image)
        self._contexts.remove(request.context)
        return {"image": image, "tag": familiar(request.tag), "steps": str(steps)}


def _chunks(contexts: Contexts, digest: str) -> Iterator[bytes]:
    with contexts.open(digest) as file:
        while data := file.read(READ_BYTES):
            yield data
