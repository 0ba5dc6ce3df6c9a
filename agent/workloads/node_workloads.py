"""The workload side of one node: plans, deployments, and the jobs that do them."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.containers.inspection import RUNNING
from agent.containers.runtime import NodeRuntime
from agent.doctor.inside import InsideLooker
from agent.jobs.jobs import Jobs
from agent.protocol.deployments import (
    AT_REST,
    ApplyRequest,
    Deployment,
    DeployOptions,
    DeployPlan,
    PinRequest,
    ResolveRequest,
    WorkloadStatus,
)
from agent.protocol.gpus import GpuSample
from agent.protocol.jobs import Job
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Workload
from agent.store.database import Database
from agent.traffic.traffic import Traffic
from agent.workloads.applying import Applier, Rules
from agent.workloads.can_run import CanRun
from agent.workloads.containers import Containers
from agent.workloads.deployments import Deployments
from agent.workloads.engine_use import EngineGiver, Engines, engine_of, sources_of
from agent.workloads.fronts import Fronts
from agent.workloads.gpu_check import GpuCheck
from agent.workloads.health_keeping import HealthKeeper
from agent.workloads.health_runs import HealthRuns
from agent.workloads.jobs import REMOVE, RemoveKind, RemoveWork
from agent.workloads.lease import BootClock, LinuxBootClock
from agent.workloads.machine import Machine
from agent.workloads.planning import Planned, Planner
from agent.workloads.probing import Prober
from agent.workloads.recipe import Recipe
from agent.workloads.records import (
    DeploymentRecord,
    Part,
    WorkloadRecord,
    WorkloadStore,
    digest_of,
)
from agent.workloads.recreating import Recreator, with_followers
from agent.workloads.refronting import Refronter
from agent.workloads.restarting import RESTART, RestartKind, RestartWork
from agent.workloads.reverting import Reverter
from agent.workloads.tending import OWNER, Tender
from agent.workloads.watching import Watcher

log = logging.getLogger(__name__)


class NodeWorkloads:
    """What the handlers of one node need for workloads.

    All methods raise ProblemError `store.*` beside what they say.
    """

    def __init__(
        self,
        *,
        runtime: NodeRuntime,
        jobs: Jobs,
        database: Database,
        rules: Rules,
        facts: Callable[[], NodeFacts],
        samples: Callable[[], Sequence[GpuSample]],
        engines: Engines,
        traffic: Traffic,
        procfs: Path | None = Path("/proc"),
        boot_clock: BootClock | None = None,
    ) -> None:
        """Registers its jobs. `procfs` None: the containers are simulated."""
        self._runtime, self._jobs = runtime, jobs
        self._store = WorkloadStore(database)
        containers = Containers(runtime, facts, root=rules.host)
        fronts = Fronts(traffic, containers)
        self._traffic = traffic
        clock = boot_clock or LinuxBootClock()
        self._planner = Planner(
            runtime=runtime,
            store=self._store,
            facts=facts,
            samples=samples,
            can_run=CanRun(runtime, facts, tables=rules.tables),
            traffic=traffic,
        )
        self._engine_giver = EngineGiver(engines, lambda: facts().gpus)
        self._applier = Applier(
            runtime=runtime,
            store=self._store,
            planner=self._planner,
            rules=rules,
            engines=self._engine_giver,
        )
        check = GpuCheck(runtime, InsideLooker(runtime, procfs=procfs))
        health = HealthRuns(runtime, facts)
        prober = Prober(runtime, health, procfs=procfs)
        self._health_keeper = HealthKeeper(
            runtime=runtime, store=self._store, facts=facts, health=health, root=rules.host
        )
        self._secrets = rules.secrets
        self.deployments = Deployments(
            jobs=jobs,
            store=self._store,
            machine=Machine(
                runtime=runtime,
                store=self._store,
                containers=containers,
                facts=facts,
                check=check,
                prober=prober,
                boot_clock=clock,
                fronts=fronts,
            ),
            reverter=Reverter(self._store, containers, fronts),
            restarts=RestartKind(
                store=self._store, containers=containers, facts=facts, check=check, prober=prober
            ),
            boot_clock=clock,
        )
        jobs.register(RemoveKind(store=self._store, containers=containers, traffic=traffic))
        self._recreator = Recreator(
            runtime=runtime, store=self._store, planner=self._planner, facts=facts
        )
        self.watcher = Watcher(
            runtime=runtime,
            store=self._store,
            jobs=jobs,
            facts=facts,
            looker=InsideLooker(runtime, procfs=procfs),
            refronter=Refronter(self._store, jobs, traffic),
            tender=Tender(
                store=self._store, jobs=jobs, recreate=self._recreate, restart=self._restart
            ),
            traffic=traffic,
        )

    async def start(self, *, by_itself: bool = True) -> None:
        """Read what a former agent left. Where that fails it is tried again when asked.

        Not `by_itself`: there is nothing to go on with.
        """
        if not by_itself:
            return
        try:
            await self._store.load()
        except ProblemError as problem:
            log.warning("no workloads until the database can be used: %s", problem.detail)
        try:
            await self._traffic.start()
        except ProblemError as problem:
            log.warning("proxies are not looked after: %s", problem.detail)
        self.deployments.start()
        self._health_keeper.start()

    async def stop(self) -> None:
        """End what goes on beside the jobs."""
        await self._health_keeper.stop()
        await self._traffic.stop()
        await self.deployments.stop()

    async def plan_pin(self, container: str, request: PinRequest) -> DeployPlan:
        """What a pin would do. Raises ProblemError `container.not_found`, `runtime.*`."""
        await self._store.load()
        return (await self._plan_pin(container, request)).answer

    async def pin(self, container: str, request: PinRequest, *, owner: str, key: str | None) -> Job:
        """Have the same container on other GPUs.

        Raises:
            ProblemError: `placement.*`, `gpu.*`, `pin.*`, `container.*`, `runtime.*`, and those
                of `Deployments.begin`.
        """
        return await self.deployments.begin(
            lambda: self._plan_pin(container, request),
            request.options,
            asked=digest_of(container.encode(), msgspec.json.encode(request)),
            owner=owner,
            key=key,
        )

    async def plan_apply(self, request: ApplyRequest) -> DeployPlan:
        """What an apply would do. Raises ProblemError `runtime.*`."""
        await self._store.load()
        return (await self._plan_apply(request)).answer

    async def apply(self, request: ApplyRequest, *, owner: str, key: str | None) -> Job:
        """Have these workloads run as said.

        Raises:
            ProblemError: what is in the plan, and those of `Deployments.begin`.
        """
        return await self.deployments.begin(
            lambda: self._plan_apply(request),
            request.options,
            asked=digest_of(msgspec.json.encode(request)),
            owner=owner,
            key=key,
        )

    async def _plan_pin(self, container: str, request: PinRequest) -> Planned:
        planned = await self._engine_giver.look(await self._planner.pin(container, request))
        return await with_followers(planned, self._store, self._recreator)

    async def _plan_apply(self, request: ApplyRequest) -> Planned:
        planned = await self._applier.plan(request)
        return await with_followers(planned, self._store, self._recreator)

    async def _plan_again(self, record: WorkloadRecord) -> Planned:
        planned = await self._recreator.plan(record)
        return await with_followers(planned, self._store, self._recreator)

    async def list(self) -> builtins.list[WorkloadStatus]:
        """All workloads by name."""
        await self._store.load()
        found = self._records().values()
        return await self.watcher.look((each, self._status(each)) for each in found)

    async def applied(self) -> builtins.list[WorkloadRecord]:
        """Those that are not amid their first deployment, by name. Not to be changed."""
        await self._store.load()
        return self._store.workloads()

    async def remembered(self) -> Mapping[str, builtins.list[Workload]]:
        """As workloads were asked for, by name: as now first, then as in earlier deployments."""
        await self._store.load()
        found: dict[str, builtins.list[Workload]] = {}
        now = [each.applied for each in self._store.workloads()]
        parts = [part for each in self._store.deployments() for part in each.parts]
        before = [old.applied for part in parts for old in (part, part.old) if old is not None]
        for workload in (*now, *before):
            if workload is not None:
                found.setdefault(workload.name, []).append(workload)
        return found

    async def show(self, name: str) -> WorkloadStatus:
        """Raises ProblemError `workload.not_found`."""
        record = await self._known(name)
        [status] = await self.watcher.look([(record, self._status(record))])
        return status

    async def deployment(self, deployment_id: str) -> Deployment:
        """Raises ProblemError `deployment.not_found`."""
        await self._store.load()
        return self._store.deployment(deployment_id).shown

    def watched(self) -> builtins.list[DeploymentRecord]:
        """The deployments that soak until somebody confirms them. Not to be changed."""
        return [
            record
            for record in self._store.deployments()
            if record.shown.state == "canary"
            and (record.shown.options.confirm == "manual" or record.shown.options.steered_by)
        ]

    def stable(self, name: str) -> str | None:
        """The id of a workload's stable container; None: there is none."""
        record = self._store.workload(name)
        return None if record is None else record.stable

    def held_to(self, name: str) -> Part | None:
        """What a workload's stable container is held to, where that is known."""
        record = self._store.workload(name)
        return None if record is None else self._store.held_to(record)

    async def remove(self, name: str, *, owner: str, key: str | None) -> Job:
        """Have a workload be no more; its volumes stay.

        Raises:
            ProblemError: `workload.not_found`, `deployment.*`, and those of `Jobs.submit`.
        """
        await self._known(name)
        work = RemoveWork(workload=name)
        return await self.deployments.beside(REMOVE, work, name, owner=owner, key=key)

    async def restart(self, name: str, *, owner: str, key: str | None) -> Job:
        """Have a workload's container restarted. Raises as `remove`."""
        await self._known(name)
        work = RestartWork(workload=name)
        return await self.deployments.beside(RESTART, work, name, owner=owner, key=key)

    async def _restart(self, record: WorkloadRecord) -> Job:
        return await self.restart(record.name, owner=OWNER, key=None)

    async def _recreate(self, record: WorkloadRecord) -> Job:
        return await self.deployments.begin(
            lambda: self._plan_again(record),
            DeployOptions(),
            asked=digest_of(record.name.encode()),
            owner=OWNER,
            key=None,
            why="its container did not see its GPUs any more (x-roost.gpu.on_lost: recreate)",
        )

    async def confirm(self, name: str) -> Deployment:
        """The newest deployment of a workload may stay, also one that was taken back already.

        Raises:
            ProblemError: `workload.not_found`.
        """
        await self._store.load()
        known = self._store.workload(name)
        deployment = self.deployments.newest_of(name) or (known and known.deployment)
        if not deployment:
            raise _not_found(name)
        return await self.deployments.confirm(deployment)

    async def resolve(self, name: str, request: ResolveRequest, *, by: str) -> Job:
        """The way out of `stuck`; see `Deployments.resolve`."""
        return await self.deployments.resolve(name, request, by=by)

    async def secrets_used(self) -> Mapping[str, builtins.list[str]]:
        """Workloads by the secret that they, or what is kept of them, are mounted."""
        await self._store.load()
        found: dict[str, set[str]] = {}
        for name, recipe in self._recipes():
            for mount in (recipe.body.get("HostConfig") or {}).get("Mounts") or []:
                source = Path(str(mount.get("Source") or ""))
                if self._secrets is not None and source.parent == self._secrets:
                    found.setdefault(source.name, set()).add(name)
        return {secret: sorted(names) for secret, names in found.items()}

    async def bound(self) -> Mapping[Path, builtins.list[str]]:
        """Paths of the node that are bound into workloads, or into what is kept of them."""
        await self._store.load()
        found: dict[Path, set[str]] = {}
        for name, recipe in (*self._recipes(), *self._of_containers()):
            for source in sources_of(recipe.body):
                found.setdefault(source, set()).add(name)
        return {source: sorted(names) for source, names in found.items()}

    def _of_containers(self) -> Iterator[tuple[str, Recipe]]:
        """Of the containers that run and those that are kept, however old their deployments are."""
        live = {each.stable for each in self._store.workloads()}
        live |= {each.kept for each in self._store.workloads()}
        for record in self._store.deployments():
            for part in record.parts:
                if part.new in live:
                    yield part.name, part.recipe
                if part.old is not None and part.old.id in live:
                    yield part.name, part.old.recipe

    def _recipes(self) -> Iterator[tuple[str, Recipe]]:
        """Of all that runs, shall run, or may have to run again."""
        newest = {each.deployment for each in self._store.workloads()}
        for each in self._store.workloads():
            if each.recipe is not None:
                yield each.name, each.recipe
        for record in self._store.deployments():
            if record.shown.state in ("done", "reverted") and record.shown.id not in newest:
                continue
            for part in record.parts:
                if record.shown.state != "reverted":
                    yield part.name, part.recipe
                if part.old is not None:
                    yield part.name, part.old.recipe

    def _records(self) -> dict[str, WorkloadRecord]:
        """By name; also of those whose first deployment is under way, or stuck."""
        found = {each.name: each for each in self._store.workloads()}
        for record in self._store.deployments():
            if record.shown.state in ("done", "reverted"):
                continue
            for part in record.parts:
                first = WorkloadRecord(
                    name=part.name,
                    release=record.shown.release,
                    stable=part.new or (None if part.old is None else part.old.id),
                    gpu=part.gpu,
                    gpus=part.gpus,
                    gpu_way=part.gpu_way,
                    deployment=record.shown.id,
                )
                found.setdefault(part.name, first)
        return dict(sorted(found.items()))

    async def _known(self, name: str) -> WorkloadRecord:
        await self._store.load()
        record = self._records().get(name)
        if record is None:
            raise _not_found(name)
        return record

    def _status(self, record: WorkloadRecord) -> WorkloadStatus:
        containers = self._runtime.containers()
        container = containers.get(record.stable or "")
        newest = self.deployments.newest_of(record.name) or record.deployment
        state, stays = None, False
        if newest is not None and self._store.has_deployment(newest):
            shown = self._store.deployment(newest).shown
            state = shown.state
            for part in shown.workloads:
                if part.name == record.name:
                    stays = part.stays
                    stopped = container is None or container.state not in RUNNING
                    if stopped and shown.state not in AT_REST and part.new is not None:
                        container = containers.get(part.new, container)
        return WorkloadStatus(
            name=record.name,
            release=record.release,
            container=record.stable,
            state="missing" if container is None else container.state,
            gpus=record.gpus,
            gpu_way=record.gpu_way,
            memory_bytes=None if record.gpu is None else record.gpu.memory_bytes,
            gpu=record.gpu,
            engine=engine_of(record.recipe),
            deployment=newest,
            deployment_state=state,
            can_undo=(record.kept is not None or stays) and state == "done",
        )


def _not_found(name: str) -> ProblemError:
    return ProblemError(
        "workload.not_found",
        f"no workload is named {name!r}",
        params={"workload": name},
        hint="`roost workload ls` shows those that there are.",
    )
