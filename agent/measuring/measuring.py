"""What one node measures: of each deployment that waits to be confirmed, both arms."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import msgspec

from agent.containers.runtime import ContainerRuntime
from agent.live.sampler import Sampler
from agent.measuring.arm_watch import ArmOf
from agent.measuring.gpu_watch import Moment
from agent.measuring.readings import NotMeasuredError
from agent.measuring.sources import ArmSources
from agent.measuring.workload_watch import Means, WorkloadWatch
from agent.protocol.arms import Arms
from agent.protocol.deployments import AT_REST, Deployment, DeployPlan
from agent.protocol.gpus import Gpu, XidEvent
from agent.protocol.measures import Measure, PrometheusMeasure
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuProbe
from agent.workloads.gpu_check import GpuCheck, GpuSeen
from agent.workloads.node_workloads import NodeWorkloads
from agent.workloads.records import DeploymentRecord, Part

# A plan does not wait longer for a page.
TRY_SECONDS = 3.0

log = logging.getLogger(__name__)


class Measuring:
    """Measures while `sampled` is called after every sample of the node.

    Args:
        sources: what is read of containers and of the proxies in front of them.
        check: looks into containers.
        gpus: of the node.
    """

    def __init__(
        self,
        *,
        workloads: NodeWorkloads,
        runtime: ContainerRuntime,
        sampler: Sampler,
        sources: ArmSources,
        check: GpuCheck,
        gpus: Callable[[], Sequence[Gpu]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workloads, self._runtime, self._sampler = workloads, runtime, sampler
        self._check, self._gpus, self._clock = check, gpus, clock
        boot, numbers = secrets.token_hex(4), count(1)
        self._means = Means(
            reader=sources.reader,
            send=sources.send,
            requests=sources.requests,
            look_inside=self._look_inside,
            clock=clock,
            window=lambda: f"{boot}-{next(numbers)}",
        )
        self._watches: dict[str, list[WorkloadWatch]] = {}  # by deployment
        self._ending: set[asyncio.Task[None]] = set()
        # What the driver said before there was anybody to count it is of no arm.
        self._last_xid: XidEvent | None = None
        self._counting = False
        self._stopped = False

    async def stop(self) -> None:
        """End all that is being read, for good."""
        self._stopped = True
        watches, self._watches = self._watches, {}
        for each in watches.values():
            for watch in each:
                await watch.stop()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def sampled(self) -> None:
        """Take the sampler's latest."""
        xids = self._new_xids()
        self.look()
        if self._watches:
            sampler = self._sampler
            containers = self._runtime.containers()
            moment = Moment(self._clock(), sampler.latest, sampler.inventory, containers, xids)
            for watches in self._watches.values():
                for watch in watches:
                    watch.take(moment)

    def look(self) -> None:
        """Begin with deployments that are to be watched now, and end with others."""
        if self._stopped:
            return
        wanted = {each.shown.id: each for each in self._workloads.watched()}
        for gone in self._watches.keys() - wanted.keys():
            for watch in self._watches.pop(gone):
                task = asyncio.create_task(watch.stop(), name="stop measuring")
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
        for deployment_id, record in wanted.items():
            if deployment_id not in self._watches:
                self._watches[deployment_id] = self._begin(record)

    async def arms(self, deployment_id: str) -> Arms:
        """What was measured so far.

        Raises:
            ProblemError: `deployment.not_found`, `store.*`.
        """
        shown = await self._workloads.deployment(deployment_id)
        self.look()
        watches = self._watches.get(deployment_id)
        if watches is None:
            return Arms(deployment=deployment_id, unknown=_why_not(shown))
        for each in watches:
            each.look(self._runtime.containers())
        return Arms(deployment=deployment_id, workloads=[each.shown() for each in watches])

    async def warned(
        self, plan: DeployPlan, measures: Mapping[str, Sequence[Measure]]
    ) -> DeployPlan:
        """The plan, with a warning for each metric, by workload, that what runs now has not.

        Commands are not run: a plan changes nothing.
        """
        for each in plan.workloads:
            pages = [m for m in measures.get(each.name, ()) if isinstance(m, PrometheusMeasure)]
            held = self._workloads.stable(each.name) if pages else None
            container = self._runtime.containers().get(held or "")
            if container is None or container.state != "running":
                continue
            tried = [self._try(container.id, page) for page in pages]
            each.warnings += [why for why in await asyncio.gather(*tried) if why is not None]
        return plan

    async def _try(self, container: str, page: PrometheusMeasure) -> str | None:
        """Why it cannot be read now; None: it can."""
        short = msgspec.structs.replace(page, timeout=min(page.timeout, TRY_SECONDS))
        try:
            await self._means.reader(short).read(container, self._clock())
        except NotMeasuredError as error:
            if error.broke:
                return f"metric {page.name} cannot be read of what runs now: {error}"
        return None

    def _begin(self, record: DeploymentRecord) -> list[WorkloadWatch]:
        options = record.shown.options
        watches = [
            WorkloadWatch(
                part.name,
                stable_of(part, self._workloads.held_to(part.name)),
                candidate_of(part),
                means=self._means,
                measures=options.measures.get(part.name, []),
                replay=record.replays.get(part.name),
            )
            for part in record.parts
            if not part.stays
        ]
        for watch in watches:
            watch.look(self._runtime.containers())
            watch.start()
        return watches

    def _new_xids(self) -> list[XidEvent]:
        """Those since the last call, none at the first. The sampler keeps the newest hundred."""
        known = self._sampler.xids
        places = (place for place, each in enumerate(known, 1) if each is self._last_xid)
        new = known[next(places, 0) :] if self._counting else []
        self._last_xid, self._counting = (known[-1] if known else None), True
        return new

    async def _look_inside(self, arm: ArmOf) -> GpuSeen:
        """Raises ProblemError `runtime.*`, `container.not_running`."""
        container = self._runtime.containers().get(arm.container or "")
        if container is None:
            raise ProblemError(
                "runtime.unreachable",
                "the runtime does not tell of it",
                hint="Look at the runtime: roost doctor NODE",
            )
        return await self._check.look(container, arm.gpus, self._gpus(), arm.probe)


def stable_of(part: Part, held: Part | None) -> ArmOf:
    """What ran before, as it was deployed (`held`), where that is known."""
    old = part.old
    if old is None:
        return ArmOf("stable", None, rests=True, why="nothing ran under that name before")
    if not part.shifts:
        return ArmOf(
            "stable",
            old.id,
            old.gpus,
            rests=True,
            why=f"{part.strategy}: it makes way for the candidate, and what it did before is of"
            " another time",
        )
    return ArmOf("stable", old.id, old.gpus, _probe(held) if held is not None else None)


def candidate_of(part: Part) -> ArmOf:
    """What shall take its place."""
    return ArmOf("candidate", part.new, part.gpus, _probe(part))


def _probe(part: Part) -> GpuProbe | None:
    return next((each for each in part.probes if isinstance(each, GpuProbe)), None)


def _why_not(shown: Deployment) -> str:
    if shown.state in AT_REST or shown.state in ("confirming", "reverting"):
        return f"it is {shown.state}: its arms are measured until then"
    if shown.state != "canary":
        return f"it is {shown.state}: its arms are measured from canary on"
    return "it confirms itself: arms are measured where somebody else is to confirm"
