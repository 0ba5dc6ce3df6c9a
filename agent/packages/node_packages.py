"""The package side of one node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from agent.containers.images_runtime import ImageRuntime
from agent.jobs.jobs import Jobs
from agent.packages.kept import NODE, KeptPackages, key_of
from agent.packages.read_job import ON_THE_NODE, READ, ReadPackagesKind
from agent.protocol.jobs import Job
from agent.protocol.node import NodeFacts
from agent.protocol.packages import PackageList, ReadPackagesRequest
from agent.protocol.problems import ProblemError


class PackagePlace(msgspec.Struct, frozen=True):
    """Where lists are kept, and where the machine has its root."""

    folder: Path
    root: Path


class NodePackages:
    """What the handlers of one node need for packages."""

    def __init__(
        self,
        place: PackagePlace | None,
        *,
        runtime: ImageRuntime,
        jobs: Jobs,
        facts: Callable[[], Awaitable[NodeFacts]],
    ) -> None:
        """`place` None: the node is simulated. Registers its job."""
        self._runtime, self._jobs = runtime, jobs
        self._kept = KeptPackages(place.folder if place else None)
        root = place.root if place else None
        jobs.register(ReadPackagesKind(runtime=runtime, kept=self._kept, root=root, facts=facts))

    async def read(self, request: ReadPackagesRequest, *, owner: str, key: str | None) -> Job:
        """The job that reads them.

        Raises:
            ProblemError: `image.*`, `runtime.*`, and those of `Jobs.submit`.
        """
        if request.image and self._jobs.known(READ, request, key=key) is None:
            await self._runtime.image(request.image)
        return await self._jobs.submit(READ, request, owner=owner, key=key)

    async def get(self, image: str) -> PackageList:
        """What was read; "": on the node itself.

        Raises:
            ProblemError: `packages.not_read`, `image.*`, `runtime.*`.
        """
        key = key_of(await self._runtime.image(image)) if image else NODE
        found = await asyncio.to_thread(self._kept.get, key)
        if found is None:
            raise ProblemError(
                "packages.not_read",
                f"the packages of {image or ON_THE_NODE} were not read yet",
                params={"image": image},
                hint="Have them read: POST /v1/packages, or roost image sbom NODE IMAGE.",
            )
        return found
