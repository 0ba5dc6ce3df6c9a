"""The jobs `image.remove` and `image.tag`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.containers.runtime import ContainerRuntime
from agent.images.loading import Loader
from agent.images.naming import Naming
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.images import RemoveRequest, TagRequest
from agent.protocol.problems import ProblemError
from agent.rules.loading import checked_tag
from agent.rules.references import familiar

# Removing a large image from a slow disk takes a minute.
REMOVE_SECONDS = 600.0
TAG_SECONDS = 120.0


class RemoveKind(JobKind[RemoveRequest]):
    """Removes one image after the other; one that cannot go does not keep the others."""

    name = "image.remove"
    request_type = RemoveRequest
    resumable = True
    joins = True

    def __init__(self, *, runtime: ContainerRuntime, loader: Loader) -> None:
        self._runtime, self._loader = runtime, loader

    def subject(self, request: RemoveRequest) -> str:
        return ", ".join(request.images)

    async def run(self, work: Work[RemoveRequest]) -> dict[str, str]:
        names = work.request.images
        result: dict[str, str] = {}
        refused: dict[str, ProblemError] = {}
        for name in names:
            await work.stage("removing", REMOVE_SECONDS)
            if len(names) > 1:  # of a single one nobody knows how far it is
                work.progress(len(result), len(names), "items")
            try:
                removal = await self._runtime.remove_image(name)
            except ProblemError as problem:
                if problem.code != "image.not_found":
                    refused[name] = problem
                    work.log(f"{name}: {problem.detail}")
                    continue
                result[name] = "was not there"
            else:
                result[name] = "removed" if removal.deleted else "tag removed"
            work.log(f"{name}: {result[name]}")
        if len(names) > 1:
            work.progress(len(result), len(names), "items")
        await self._loader.forget_gone()
        if refused:
            raise _not_all(refused, result)
        return result


def _not_all(refused: Mapping[str, ProblemError], result: Mapping[str, str]) -> ProblemError:
    """Why some did not go; `done` in `params` says which did, and how."""
    first = next(iter(refused.values()))
    return ProblemError(
        first.code,
        "; ".join(dict.fromkeys(problem.detail for problem in refused.values())),
        params={
            **first.params,
            "done": [f"{name}={how}" for name, how in result.items()],
        },
        hint=first.hint,
    )


class TagKind(JobKind[TagRequest]):
    """Gives an image one more name; whichever had it before loses it."""

    name = "image.tag"
    request_type = TagRequest
    resumable = True
    joins = True

    def __init__(self, *, runtime: ContainerRuntime, naming: Naming) -> None:
        self._runtime, self._naming = runtime, naming

    def subject(self, request: TagRequest) -> str:
        return f"{request.image} as {request.tag}"

    def locks(self, request: TagRequest) -> Sequence[str]:
        return [f"tag:{familiar(request.tag)}"]

    async def run(self, work: Work[TagRequest]) -> dict[str, str]:
        await work.stage("tagging", TAG_SECONDS)
        tag = checked_tag(work.request.tag)
        image = await self._runtime.image(work.request.image)
        before = await self._naming.move(tag, image.id)
        work.log(f"{tag} is now {image.id}" + (f", it was {before}" if before else ""))
        return {tag: image.id}
