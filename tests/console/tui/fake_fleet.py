"""Links without agents: what each node answers; a fleet that changes when a test says so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import msgspec

from agent.protocol.compatibility import ImageNeeds
from agent.protocol.containers import Container, ContainerChange, LogLine
from agent.protocol.findings import CheckOutcome, DoctorReport
from agent.protocol.images import ImportRequest, Medium, NodeImage, RemoveRequest, TagRequest
from agent.protocol.jobs import Job, JobLogLine
from agent.protocol.live import Record
from agent.protocol.problems import ProblemError
from agent.protocol.telemetry import History, Metric, Series
from console.fleet.picture import NodeView
from console.tui.ports import ContainerVerb
from tests.console.tui import fakes
from tests.console.tui.fake_engines import FakeEngines
from tests.console.tui.fake_packages import FakePackages
from tests.console.tui.fake_workloads import FakeWorkloads
from tests.console.tui.fakes import DISK, begun, put_job, uuid_of


@dataclass
class FakeClient:
    """What one node answers. `log` is given line by line; `fails` raises for everything."""

    view: NodeView
    log: list[LogLine] = field(default_factory=list)
    acted: list[tuple[str, str]] = field(default_factory=list)
    fails: ProblemError | None = None
    job_lines: list[JobLogLine] = field(default_factory=list)
    held: list[NodeImage] = field(default_factory=list)
    plugged: list[Medium] = field(default_factory=list)
    needs: dict[str, ImageNeeds] = field(default_factory=dict)
    """Of its images, by tag; others want no GPU."""
    looked: list[tuple[str, bool]] = field(default_factory=list)
    """Images whose needs were asked, and whether inside."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Jobs that were cancelled or begun, and of what."""
    hold: asyncio.Event | None = None
    """While it is set and not yet true, actions take their time."""
    log_goes_on: bool = True

    def __post_init__(self) -> None:
        self.workloads = FakeWorkloads(self.view, self._answer)
        self.engines = FakeEngines(self.view, self._answer)
        self.packages = FakePackages(self.view, self._answer)

    async def _answer(self) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.fails is not None:
            raise self.fails

    async def doctor(
        self,
        *,
        clock_offset_seconds: float | None = None,
        clock_uncertainty_seconds: float | None = None,
    ) -> DoctorReport:
        await self._answer()
        return DoctorReport(
            node=self.view.name,
            at=fakes.NOW,
            checks=[
                CheckOutcome(check="driver", outcome="ok"),
                CheckOutcome(
                    check="container_gpus", outcome="could_not_tell", reason="no shell inside"
                ),
                CheckOutcome(check="disk", outcome="found", findings=[DISK]),
            ],
        )

    async def history(self, *, metric: Metric | None = None, seconds: int | None = None) -> History:
        await self._answer()
        wave = random.Random(7)
        return History(
            resolution_seconds=1,
            end_at=fakes.NOW,
            series=[
                Series(
                    subject=uuid,
                    metric="utilization_percent",
                    values=[
                        float(min(100, max(0, 50 + 40 * ((i // 60) % 2) - wave.randrange(30))))
                        for i in range(seconds or 600)
                    ],
                )
                for uuid in self.view.sections.get("gpus", {})
            ],
        )

    async def act(self, name: str, action: ContainerVerb) -> ContainerChange:
        await self._answer()
        self.acted.append((action, name))
        record = self.view.sections["containers"][name]
        record["state"] = "exited" if action == "stop" else "running"
        return ContainerChange(
            action=action, container=msgspec.convert(record, Container), changed=True
        )

    async def logs(
        self, name: str, *, follow: bool = False, since: str | None = None, tail: int | None = None
    ) -> AsyncGenerator[list[LogLine], None]:
        await self._answer()
        if self.log:
            yield self.log
        if follow and self.log_goes_on:
            await asyncio.Event().wait()

    def _job(self, name: str) -> Record:
        jobs = self.view.sections.get("jobs", {})
        found = next((record for key, record in jobs.items() if key.startswith(name)), None)
        if found is None:
            raise ProblemError("job.not_found", f"there is no job {name}", hint="See: roost job ls")
        return found

    async def job(self, name: str) -> Job:
        await self._answer()
        return msgspec.convert(self._job(name), Job)

    async def job_log(
        self, name: str, *, follow: bool = True, after: int = 0
    ) -> AsyncGenerator[list[JobLogLine] | Job, None]:
        await self._answer()
        if lines := [line for line in self.job_lines if line.number > after]:
            yield lines
        job = msgspec.convert(self._job(name), Job)
        if follow and job.ended_at is None:
            await asyncio.Event().wait()
        yield job

    async def cancel_job(self, name: str) -> Job:
        await self._answer()
        self.asked.append(("cancel", name))
        record = self._job(name)
        record["cancelling"] = True
        return msgspec.convert(record, Job)

    async def retry_job(self, name: str, key: str) -> Job:
        await self._answer()
        self.asked.append(("retry", name))
        old = msgspec.convert(self._job(name), Job)
        return begun(self.view, old.kind, old.subject, parent=old.id)

    async def images(self) -> list[NodeImage]:
        await self._answer()
        return list(self.held)

    async def image_needs(self, image: str, *, inside: bool = False) -> ImageNeeds:
        await self._answer()
        self.looked.append((image, inside))
        needs = self.needs.get(image, ImageNeeds(architecture="amd64", wants_gpu=False))
        return msgspec.structs.replace(needs, looked_inside=inside)

    async def media(self) -> list[Medium]:
        await self._answer()
        return self.plugged

    async def import_images(self, request: ImportRequest, key: str) -> Job:
        await self._answer()
        self.asked.append(("import", request.path + (" making room" if request.make_room else "")))
        return begun(self.view, "image.import", request.path)

    async def remove_images(self, request: RemoveRequest, key: str) -> Job:
        await self._answer()
        for name in request.images:
            self.asked.append(("remove", name))
            for image in [image for image in self.held if name in image.tags]:
                image.tags.remove(name)
        self.held = [image for image in self.held if image.tags]
        return self._done("image.remove", dict.fromkeys(request.images, "removed"))

    async def tag_image(self, request: TagRequest, key: str) -> Job:
        await self._answer()
        self.asked.append(("tag", f"{request.image} {request.tag}"))
        image = next(image for image in self.held if request.image in image.tags)
        image.tags.append(request.tag)
        return self._done("image.tag", {request.tag: image.id})

    def _done(self, kind: str, result: dict[str, str]) -> Job:
        subject, number = ", ".join(result), len(self.asked)
        return put_job(
            self.view, f"done{number}", "succeeded", kind=kind, subject=subject, result=result
        )


class FakeFleet:
    """Nodes that change only when a test says so."""

    def __init__(self, nodes: list[NodeView]) -> None:
        self.nodes = {view.name: view for view in nodes}
        self.changed: set[str] = set()
        self.retried: list[str | None] = []
        self.started = 0
        self.stopped = 0
        self.clients = {view.name: FakeClient(view) for view in nodes}

    def take_changed(self) -> set[str]:
        changed, self.changed = self.changed, set()
        return changed

    async def start(self) -> None:
        self.started += 1

    async def stop(self) -> None:
        self.stopped += 1

    def client(self, node: str) -> FakeClient:
        return self.clients[node]

    def retry(self, node: str | None = None) -> None:
        self.retried.append(node)

    def set_gpu(self, node: str, index: int, **fields: object) -> None:
        """New figures of a GPU, as the link would write them."""
        self.nodes[node].sections["gpus"][uuid_of(node, index)].update(fields)
        self.changed.add(node)
