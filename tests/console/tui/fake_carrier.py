"""Pushes that go as far as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.protocol.images import Freeable, LoadPlan, PlannedImage, SpaceNeed, WantedLayer
from agent.protocol.jobs import Job
from agent.protocol.problems import Problem, ProblemError
from agent.protocol.site import SiteStatus
from console.fleet.inventory import NodeEntry
from console.images.push import PushState
from console.images.sites import Account
from console.tui.terms import Terms
from tests.archives_made import Made, docker_archive, layer
from tests.console.tui.fakes import GIB, NOW

MIB = 1024**2
REFUSED = Problem(code="space.full", title="Full", detail="no room", status=507, hint="Free some.")


def make_archive(folder: Path, name: str = "app.tar", tag: str = "app:1") -> Path:
    """A small real archive."""
    file = folder / name
    file.write_bytes(docker_archive([Made([layer(f"{tag}/base"), layer(tag)], tags=(tag,))]))
    return file


def make_plan(
    *,
    present: bool = False,
    send: int = 20 * MIB,
    problem: Problem | None = None,
    frees: Sequence[Freeable] = (),
) -> LoadPlan:
    """What a node answers to an archive of one image."""
    digest = f"sha256:{'5' * 64}"
    wanted = [] if present else [WantedLayer(diff_id=digest, size_bytes=send)]
    image = PlannedImage(
        tags=["app:1"], config_digest=digest, state="present" if present else "load"
    )
    space = [SpaceNeed(path="/", purposes=["blobs"], needed_bytes=GIB, free_bytes=40 * GIB)]
    problems = [problem] if problem is not None else []
    return LoadPlan(
        images=[image], wanted=wanted, space=space, problems=problems, frees=list(frees)
    )


@dataclass
class FakePusher:
    """Runs until `go_on` is set; `ends_with` is how it ends then."""

    state: PushState
    changed: Callable[[], None]
    plan: LoadPlan | ProblemError
    ends_with: Exception | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def check(self) -> LoadPlan:
        if isinstance(self.plan, ProblemError):
            raise self.plan
        return self.plan

    async def run(self) -> PushState:
        self.set(stage="sending", total_bytes=20 * MIB)
        await self.go_on.wait()
        if isinstance(self.ends_with, ProblemError):
            self.set(stage="failed", problem=self.ends_with)
        elif self.ends_with is not None:
            raise self.ends_with
        else:
            job = Job(
                id="j",
                kind="image.load",
                subject="app:1",
                state="succeeded",
                owner="x",
                created_at=NOW,
            )
            self.set(job=job)
            self.set(stage="done", done_bytes=20 * MIB, images={"app:1": f"sha256:{'5' * 64}"})
        return self.state

    def set(self, **fields: object) -> None:
        """The state has changed."""
        for name, value in fields.items():
            setattr(self.state, name, value)
        self.changed()


class FakeCarrier:
    """Reads real archives; `plans` and `ends` say what nodes do, `pushers` are the last ones.

    `sites` are what nodes say of their site; those that say they listen pass layers on.
    """

    def __init__(self) -> None:
        self.plans: dict[str, LoadPlan | ProblemError] = {}
        self.ends: dict[str, Exception] = {}
        self.sites: dict[str, SiteStatus] = {}
        self.pushers: dict[str, FakePusher] = {}
        self.convoys: list[FakeConvoy] = []

    def read(self, path: Path, heard: Callable[[int, int], None]) -> ArchiveIndex:
        return index_archive(path, heard=heard)

    def convoy(
        self,
        nodes: Sequence[NodeEntry],
        archive: ArchiveIndex,
        terms: Terms,
        on_change: Callable[[], None],
    ) -> FakeConvoy:
        convoy = FakeConvoy(self, [node.name for node in nodes], terms, on_change)
        self.convoys.append(convoy)
        return convoy

    async def site(self, node: str) -> SiteStatus:
        return self.sites.get(node, SiteStatus(listening=False, reason="site_listen is not set"))


@dataclass
class FakeConvoy:
    """What it is told."""

    carrier: FakeCarrier
    nodes: list[str]
    terms: Terms
    changed: Callable[[], None]
    helpers: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    async def begin(self) -> None:
        self.told.append("begin")

    def pusher(self, node: str) -> FakePusher:
        plan = self.carrier.plans.get(node, make_plan())
        ends = self.carrier.ends.get(node)
        pusher = FakePusher(PushState(node=node), self.changed, plan, ends)
        self.carrier.pushers[node] = pusher
        return pusher

    def goes_first(self, node: str) -> bool:
        return self.terms.via_site and node == self.nodes[0]

    def ended(self, node: str, *, stopped: bool) -> None:
        self.told.append(f"{node} {'stopped' if stopped else 'ended'}")

    def account(self, state: PushState) -> Account:
        way = "direct"
        if self.terms.via_site:
            way = "seed" if self.goes_first(state.node) else f"from {self.nodes[0]}"
        return Account(way, state.sent_bytes, 0)

    async def end(self) -> None:
        self.told.append("end")

    def again(
        self, nodes: Sequence[NodeEntry], helpers: Sequence[NodeEntry], terms: Terms
    ) -> FakeConvoy:
        convoy = FakeConvoy(self.carrier, [node.name for node in nodes], terms, self.changed)
        convoy.helpers = [node.name for node in helpers]
        self.carrier.convoys.append(convoy)
        return convoy
