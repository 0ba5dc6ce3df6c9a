"""What is installed in the images of a node without an agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.protocol.jobs import Job
from agent.protocol.packages import Package, PackageList
from console.fleet.picture import NodeView
from tests.console.tui.fakes import put_job

LISTED = PackageList(
    os_id="debian",
    os_version="12",
    packages=[
        Package(kind="deb", name="libc6", version="2.36-9"),
        Package(kind="pypi", name="numpy", version="2.0"),
    ],
    unknown=["/var/lib/rpm/Packages: not read"],
)


@dataclass
class FakePackages:
    """An image is known once it was read."""

    view: NodeView
    answer: Callable[[], Awaitable[None]]
    known: dict[str, PackageList] = field(default_factory=dict)
    read_jobs: list[str] = field(default_factory=list)

    async def read(self, image: str, key: str) -> Job:
        await self.answer()
        self.read_jobs.append(image)
        self.known[image] = LISTED
        number = len(self.read_jobs)
        return put_job(
            self.view, f"read{number}", "succeeded", ago=0, kind="packages.read", subject=image
        )

    async def get(self, image: str) -> PackageList | None:
        await self.answer()
        return self.known.get(image)
