"""The job `packages.read`: what is installed in an image, or on the node itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.containers.images_runtime import ImageRuntime
from agent.host.packages import host_packages
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.packages.kept import NODE, KeptPackages, key_of, stamped
from agent.protocol.node import NodeFacts
from agent.protocol.packages import Package, PackageList, ReadPackagesRequest

READ = "packages.read"
# As long as the reading itself may take, and a container to be made before it and removed.
IMAGE_SECONDS = 2 * 3600.0
NODE_SECONDS = 600.0
ON_THE_NODE = "the node itself"


class ReadPackagesKind(JobKind[ReadPackagesRequest]):
    """One at a time: each reads a whole image from the disk."""

    name = READ
    request_type = ReadPackagesRequest
    resumable = True
    joins = True

    def __init__(
        self,
        *,
        runtime: ImageRuntime,
        kept: KeptPackages,
        root: Path | None,
        facts: Callable[[], Awaitable[NodeFacts]],
    ) -> None:
        """`root` is where the machine has its own; None: there is no machine."""
        self._runtime, self._kept, self._root, self._facts = runtime, kept, root, facts

    def subject(self, request: ReadPackagesRequest) -> str:
        return request.image or ON_THE_NODE

    async def run(self, work: Work[ReadPackagesRequest]) -> dict[str, str]:
        if work.request.image:
            found = await self._of_image(work)
        else:
            await work.stage("reading", NODE_SECONDS)
            found = await self._of_node()
            await asyncio.to_thread(self._kept.put, NODE, found)
        for reason in found.unknown:
            work.log(f"there may be more: {reason}")
        return {"packages": str(len(found.packages)), "unknown": str(len(found.unknown))}

    async def _of_image(self, work: Work[ReadPackagesRequest]) -> PackageList:
        await work.stage("reading", IMAGE_SECONDS)
        image = await self._runtime.image(work.request.image)
        key = key_of(image)
        known = await asyncio.to_thread(self._kept.get, key)
        if known is not None:
            return known
        found = await self._runtime.image_packages(image.id, work.progress)
        found = stamped(found)
        await asyncio.to_thread(self._kept.put, key, found)
        return found

    async def _of_node(self) -> PackageList:
        found = PackageList(unknown=["this node is simulated: nothing is installed on it"])
        if self._root is not None:
            own = [Path(each) for each in sys.path if each]
            found = await asyncio.to_thread(host_packages, self._root, own)
        facts = await self._facts()
        found.packages = sorted({*found.packages, *told_by(facts)})
        return stamped(found)


def told_by(facts: NodeFacts) -> list[Package]:
    """What runs there and may have come without a package: driver, toolkit, runtime, agent."""
    runtime = facts.runtime
    versions = {
        "nvidia-driver": facts.gpu_stack.driver_version,
        "nvidia-container-toolkit": facts.toolkit.version,
        (runtime.name or "").lower().replace(" ", "-"): runtime.version,
        "linux": facts.host.kernel,
        "roost-agent": facts.agent.version,
    }
    return [
        Package(kind="generic", name=name, version=version)
        for name, version in versions.items()
        if name and version
    ]
