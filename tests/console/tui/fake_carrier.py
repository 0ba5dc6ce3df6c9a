"""Pushes that go as far as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.protocol.images import LoadPlan, PlannedImage, SpaceNeed, WantedLayer
from agent.protocol.jobs import Job
from agent.protocol.problems import Problem, ProblemError
from console.images.push import PushState
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
    *, present: bool = False, send: int = 20 * MIB, problem: Problem | None = None
) -> LoadPlan:
    """What a node answers to an archive of one image."""
    digest = f"sha256:{'5' * 64}"
    wanted = [] if present else [WantedLayer(diff_id=digest, size_bytes=send)]
    image = PlannedImage(
        tags=["app:1"], config_digest=digest, state="present" if present else "load"
    )
    space = [SpaceNeed(path="/", purposes=["blobs"], needed_bytes=GIB, free_bytes=40 * GIB)]
    problems = [problem] if problem is not None else []
    return LoadPlan(images=[image], wanted=wanted, space=space, problems=problems)


@dataclass
class FakePusher:
    """Runs until `go_on` is set; `ends_with` is how it ends then."""

    state: PushState
    changed: Callable[[], None]
    plan: LoadPlan | ProblemError
    ends_with: ProblemError | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def check(self) -> LoadPlan:
        if isinstance(self.plan, ProblemError):
            raise self.plan
        return self.plan

    async def run(self) -> PushState:
        self.set(stage="sending", total_bytes=20 * MIB)
        await self.go_on.wait()
        if self.ends_with is not None:
            self.set(stage="failed", problem=self.ends_with)
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
    """Reads real archives; `plans` and `ends` say what nodes do, `pushers` are the last ones."""

    def __init__(self) -> None:
        self.plans: dict[str, LoadPlan | ProblemError] = {}
        self.ends: dict[str, ProblemError] = {}
        self.pushers: dict[str, FakePusher] = {}

    def read(self, path: Path, heard: Callable[[int, int], None]) -> ArchiveIndex:
        return index_archive(path, heard=heard)

    def pusher(
        self, node: str, archive: ArchiveIndex, nodes: int, on_change: Callable[[], None]
    ) -> FakePusher:
        plan = self.plans.get(node, make_plan())
        pusher = FakePusher(PushState(node=node), on_change, plan, self.ends.get(node))
        self.pushers[node] = pusher
        return pusher
