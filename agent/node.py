"""One node: its sources, its live picture, its doctor, and what it keeps."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from anyio import move_on_after

from agent.containers.runtime import NodeRuntime
from agent.doctor.evidence import ClockOffset
from agent.doctor.inside import InsideLooker
from agent.engines.node_engines import EnginePlace, NodeEngines
from agent.gpu.source import GpuSource
from agent.host.source import HostSource
from agent.images.node_images import NodeImages
from agent.jobs.jobs import Jobs
from agent.live import picture
from agent.live.event_log import CAPACITY_EVENTS, EventLog
from agent.live.facts import FactsGatherer
from agent.live.history import HistorySource, HistoryStore
from agent.live.own_log import LogKeeper
from agent.live.sampler import Sampler
from agent.measuring.measuring import Measuring
from agent.measuring.requests import Requests, requests_of
from agent.measuring.sources import ArmSources, real_sources
from agent.packages.node_packages import NodePackages, PackagePlace
from agent.protocol.deployments import WorkloadStatus
from agent.protocol.engines import Engine
from agent.protocol.findings import DoctorReport
from agent.protocol.gpus import GpuReport, GpuSample
from agent.protocol.live import Record, Sections
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.protocol.telemetry import Telemetry
from agent.site.fetching import Fetcher
from agent.site.node_site import NodeSite
from agent.snapshots.node_snapshots import NodeSnapshots
from agent.snapshots.taking import Taker
from agent.store.audit import AuditLog
from agent.store.database import Database
from agent.store.node_secrets import NodeSecrets
from agent.store.tokens import TokenStore
from agent.store.trusted_keys import TrustedKeys
from agent.traffic.simulated import SimulatedTraffic
from agent.traffic.traffic import Traffic
from agent.upgrades.node_upgrades import NodeUpgrades
from agent.upgrades.upgrade_job import UpgradePlace
from agent.workloads.applying import Rules
from agent.workloads.gpu_check import GpuCheck
from agent.workloads.node_workloads import NodeWorkloads

FACTS_EVERY_SECONDS = 60.0
DOCTOR_EVERY_SECONDS = 30.0
# A disk that was full or read-only is mended by a person.
JOBS_AGAIN_SECONDS = 5.0
# After something changed the doctor looks again, but not at each of a burst of changes.
DOCTOR_SETTLE_SECONDS = 2.0

log = logging.getLogger(__name__)


class NodeExaminer(Protocol):
    """The doctor of a node: `agent.doctor.examiner.Examiner`, or a double."""

    def watch(self, at: float, samples: Iterable[GpuSample]) -> None:
        """Take the samples of one moment."""

    async def examine(self, node: Node, clock: ClockOffset | None) -> DoctorReport:
        """Look at everything now."""


class Node:
    """Everything that the HTTP handlers of one node need.

    The real agent has one; the simulator has thousands in one process.
    """

    def __init__(
        self,
        *,
        name: str,
        gpu: GpuSource,
        host: HostSource,
        runtime: NodeRuntime,
        examiner: NodeExaminer,
        audit: AuditLog,
        tokens: TokenStore,
        jobs: Jobs,
        images: NodeImages,
        database: Database,
        rules: Rules,
        engines: EnginePlace | None = None,
        packages: PackagePlace | None = None,
        keys: TrustedKeys | None = None,
        simulated: bool = False,
        history: HistorySource | None = None,
        capacity_events: int = CAPACITY_EVENTS,
        arm_sources: ArmSources | None = None,
        traffic: Traffic | None = None,
        own_log: LogKeeper | None = None,
        upgrade: UpgradePlace | None = None,
        configuration: Mapping[str, str] | None = None,
    ) -> None:
        """`configuration` is what agent.yaml came to, by dotted key: see `settings.told`."""
        self.name, self.boot = name, secrets.token_hex(4)
        self.gpu, self.host, self.runtime = gpu, host, runtime
        self.keys, self.secrets = keys or TrustedKeys(None), NodeSecrets(rules.secrets)
        self.audit, self.tokens, self.jobs, self.images = audit, tokens, jobs, images
        self.upgrades = NodeUpgrades(upgrade, jobs=jobs, blobs=images.blobs, database=database.path)
        self.simulated = simulated
        self.own_log = own_log or LogKeeper({})
        self.events = EventLog(self.boot, capacity_events=capacity_events)
        self.sampler = Sampler(
            gpu=gpu,
            host=host,
            runtime=runtime,
            history=HistoryStore() if history is None else history,
            on_tick=self._ticked,
            in_thread=not simulated,
        )
        self.engines = NodeEngines(
            place=engines,
            jobs=jobs,
            facts=lambda: self.facts,
            samples=lambda: self.sampler.latest.gpus if self.sampler.sampled else [],
            runtime=runtime,
            bound=self._bound,
            fetcher=Fetcher(blobs=images.blobs, uploads=images.uploads),
        )
        self.packages = NodePackages(packages, runtime=runtime, jobs=jobs, facts=self._fresh_facts)
        self.site = NodeSite(name=name, images=images, jobs=jobs, others=self.engines.plan_named)
        self.traffic = traffic or SimulatedTraffic()
        self.workloads = NodeWorkloads(
            runtime=runtime,
            jobs=jobs,
            database=database,
            rules=rules,
            facts=lambda: self.facts,
            samples=lambda: self.sampler.latest.gpus if self.sampler.sampled else [],
            engines=self.engines,
            traffic=self.traffic,
            procfs=None if simulated else Path("/proc"),
        )
        self.snapshots = NodeSnapshots(
            Taker(
                facts=self._fresh_facts,
                images=self.images.planner.images,
                workloads=self.workloads,
                states=lambda: {each.id: each.state for each in runtime.containers().values()},
                engines=self.engines.list,
                files=self.images.files,
                secrets=self.secrets,
                configuration=configuration or {},
                sealed_beside=database.path,
            ),
            jobs=jobs,
            images=self.images,
            engines=self.engines,
            workloads=self.workloads,
        )
        procfs = None if simulated else Path("/proc")
        self.measuring = Measuring(
            workloads=self.workloads,
            runtime=runtime,
            sampler=self.sampler,
            sources=arm_sources or real_sources(runtime, self._requests),
            check=GpuCheck(runtime, InsideLooker(runtime, procfs=procfs)),
            gpus=lambda: self.facts.gpus,
        )
        self.ready = asyncio.Event()
        self._examiner = examiner
        self._facts = FactsGatherer(
            name=name,
            boot=self.boot,
            gpu=gpu,
            host=host,
            runtime=runtime,
            simulated=simulated,
            upgrade=lambda: self.upgrades.about,
        )
        self._findings: dict[str, Record] = {}
        self._wake_doctor = asyncio.Event()
        self._facts_stale = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._late_jobs: asyncio.Task[None] | None = None

    async def start(self, *, by_itself: bool = True) -> None:
        """Start the sources, gather the facts once, and begin to sample.

        Not `by_itself`: whoever started it calls `sampler.tick` and `look` when they are due.
        """
        if self.upgrades.on_trial:
            # It can be asked what it is, and touches nothing until it is known to be wanted.
            await self._start_sources()
            await self.upgrades.confirmed()
            await self.refresh_facts()
            await self._start_stores(by_itself=by_itself)
        else:
            await self._start_stores(by_itself=by_itself)
            await self._start_sources()
        await self.workloads.start(by_itself=by_itself)
        try:
            await self.jobs.start()
        except ProblemError as problem:
            # What does not need the database goes on without it.
            log.warning("no jobs until the database can be used: %s", problem.detail)
            self._late_jobs = asyncio.create_task(self._start_jobs(), name=f"jobs {self.name}")
        self.jobs.on_change(self._jobs_changed)
        if not by_itself:
            return
        self._tasks = [
            asyncio.create_task(self.sampler.run(), name=f"sampler {self.name}"),
            asyncio.create_task(self._keep_facts(), name=f"facts {self.name}"),
            asyncio.create_task(self._keep_findings(), name=f"doctor {self.name}"),
        ]
        if self._late_jobs is None:
            await self._up()

    async def _up(self) -> None:
        """Of an upgrade it is the end."""
        if self.upgrades.on_trial:
            await self.upgrades.up()
            await self.refresh_facts()
            self._publish()

    async def _start_stores(self, *, by_itself: bool) -> None:
        await self.images.start(by_itself=by_itself)
        await self.site.start()
        await self.engines.start()

    async def _start_sources(self) -> None:
        await self.gpu.start()
        await self.runtime.start()
        self.runtime.on_change(self._runtime_changed)
        await self.refresh_facts()

    async def stop(self) -> None:
        """Stop what `start` started."""
        if self._late_jobs is not None:
            self._late_jobs.cancel()
            await asyncio.gather(self._late_jobs, return_exceptions=True)
        await self.jobs.stop()
        await self.measuring.stop()
        await self.engines.stop()
        await self.workloads.stop()
        await self.site.stop()
        await self.images.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.runtime.stop()
        await self.gpu.stop()

    def _requests(self, workload: str, *_: object) -> Requests:
        return requests_of(self.traffic.figures(workload))

    async def _fresh_facts(self) -> NodeFacts:
        await self.refresh_facts()
        return self.facts

    async def _bound(self) -> Mapping[Path, Sequence[str]]:
        return await self.workloads.bound()

    @property
    def outdated(self) -> bool:
        """Whether something changed that `look` has not seen yet."""
        return self._facts_stale.is_set() or self._wake_doctor.is_set()

    async def look(self) -> None:
        """Gather the facts and let the doctor look, for a node that does not run by itself."""
        self._facts_stale.clear()
        self._wake_doctor.clear()
        await self.refresh_facts()
        await self.examine()

    @property
    def facts(self) -> NodeFacts:
        """The facts as last gathered.

        Raises:
            ProblemError: `node.not_ready`.
        """
        if self._facts.facts is None:
            raise self._not_ready()
        return self._facts.facts

    @property
    def latest(self) -> Telemetry:
        """The latest sample of everything.

        Raises:
            ProblemError: `node.not_ready`.
        """
        if not self.sampler.sampled:
            raise self._not_ready()
        return self.sampler.latest

    @property
    def latest_json(self) -> bytes:
        """`latest` as JSON, encoded once for all who ask. Raises as `latest` does."""
        if not self.sampler.sampled:
            raise self._not_ready()
        return self.sampler.encoded()

    def _not_ready(self) -> ProblemError:
        return ProblemError(
            "node.not_ready",
            f"the agent of {self.name} is still starting",
            hint="Try again in a moment; /readyz tells when.",
        )

    async def refresh_facts(self) -> None:
        """Gather the facts anew."""
        self.sampler.inventory = await self._facts.gather()

    def gpu_report(self) -> GpuReport:
        """Everything about the GPUs, as last read."""
        sampler = self.sampler
        return GpuReport(
            stack=sampler.inventory.stack,
            gpus=list(sampler.inventory.gpus),
            samples=sampler.latest.gpus,
            health=list(sampler.health),
            processes=sampler.latest.processes,
            xids=sampler.xids,
        )

    async def workload_report(self) -> list[WorkloadStatus] | None:
        """How the workloads are doing; None: what there are could not be read."""
        try:
            return await self.workloads.list()
        except ProblemError as problem:
            log.info("the doctor does not see the workloads: %s", problem.detail)
            return None

    async def engine_report(self) -> list[Engine] | None:
        """The engines in use, and what changed since they were built; None: not readable."""
        try:
            return await self.engines.in_use()
        except ProblemError as problem:
            log.info("the doctor does not see the engines: %s", problem.detail)
            return None

    async def examine(self, clock: ClockOffset | None = None) -> DoctorReport:
        """Let the doctor look now, and take its findings into the live picture."""
        report = await self._examiner.examine(self, clock)
        self._findings = picture.finding_records(report.findings)
        self._publish()
        await self.workloads.watcher.tend(report)
        return report

    def _ticked(self) -> None:
        latest = self.sampler.latest
        self._examiner.watch(latest.at, latest.gpus)
        if self.workloads.watcher.sampled(latest.processes):
            self._wake_doctor.set()
        self._publish()
        self.measuring.sampled()

    def _publish(self) -> None:
        if not self.sampler.sampled:
            return  # the first sample publishes
        facts = self.facts
        latest, inventory = self.sampler.latest, self.sampler.inventory
        if inventory.stack != facts.gpu_stack or list(inventory.gpus) != facts.gpus:
            self._facts_stale.set()
        after: Sections = {
            "node": {
                "": picture.node_record(
                    self.name,
                    latest,
                    inventory.stack,
                    facts.runtime,
                    picture.fullest_disk_percent(facts.disks),
                )
            },
            "facts": {"": self._facts.record},
            "gpus": picture.gpu_records(inventory.gpus, latest.gpus),
            "processes": picture.process_records(latest),
            "containers": picture.container_records(self.runtime.containers(), latest.containers),
            "findings": self._findings,
            "jobs": self.jobs.records(),
        }
        if self.events.update(after):
            self.ready.set()

    def _runtime_changed(self) -> None:
        self._facts_stale.set()
        self._wake_doctor.set()
        if self._facts.facts is not None:
            self._publish()

    def _jobs_changed(self) -> None:
        self.measuring.look()
        if self.ready.is_set():
            self._publish()

    async def _start_jobs(self) -> None:
        while True:
            await asyncio.sleep(JOBS_AGAIN_SECONDS)
            try:
                await self.jobs.start()
            except ProblemError:
                continue  # it was told, and whoever asks for jobs is told
            log.info("the database can be used, jobs go on")
            await self._up()
            return

    async def _keep_facts(self) -> None:
        gathered_at = time.monotonic()
        while True:
            with move_on_after(FACTS_EVERY_SECONDS):
                await self._facts_stale.wait()
            self._facts_stale.clear()
            try:
                moved = await self._facts.moved(self.sampler.inventory)
                if moved or time.monotonic() - gathered_at >= FACTS_EVERY_SECONDS:
                    gathered_at = time.monotonic()
                    await self.refresh_facts()
                    self._publish()
                if moved:
                    self._wake_doctor.set()
            except Exception:
                log.exception("gathering facts failed")
            await asyncio.sleep(1)

    async def _keep_findings(self) -> None:
        await self.ready.wait()
        while True:
            try:
                await self.examine()
            except Exception:
                log.exception("the doctor failed")
            with move_on_after(DOCTOR_EVERY_SECONDS):
                await self._wake_doctor.wait()
            await asyncio.sleep(DOCTOR_SETTLE_SECONDS)
            self._wake_doctor.clear()
