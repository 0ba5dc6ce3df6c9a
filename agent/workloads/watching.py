"""How workloads are doing: drift, ceilings, and what the node does about it by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from anyio import fail_after

from agent.containers.inspection import state_of
from agent.containers.runtime import NodeRuntime
from agent.doctor.inside import InsideLooker
from agent.jobs.jobs import Jobs
from agent.protocol.deployments import AT_REST, NETWORK_GONE, WorkloadStatus
from agent.protocol.findings import DoctorReport
from agent.protocol.gpus import GpuProcess
from agent.protocol.jobs import ENDED
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.traffic.traffic import Traffic
from agent.workloads.ceilings import CeilingWatch
from agent.workloads.containers import inspect_if_there
from agent.workloads.drift import Wanted, drift
from agent.workloads.jobs import DEPLOY, REMOVE, REVERT
from agent.workloads.left_behind import adrift, down_since_boot
from agent.workloads.podman import is_podman
from agent.workloads.records import WorkloadRecord, WorkloadStore
from agent.workloads.refronting import Refronter
from agent.workloads.restarting import RESTART
from agent.workloads.tending import Tender

# For all of a node's workloads together: a list must come even where the runtime hangs.
LOOK_SECONDS = 5.0
NOT_SEEN = "container.gpu_not_visible"

log = logging.getLogger(__name__)


class Watcher:
    """Watches the workloads of one node."""

    def __init__(
        self,
        *,
        runtime: NodeRuntime,
        store: WorkloadStore,
        jobs: Jobs,
        facts: Callable[[], NodeFacts],
        tender: Tender,
        refronter: Refronter,
        looker: InsideLooker,
        traffic: Traffic,
    ) -> None:
        self._traffic = traffic
        self._runtime, self._store, self._jobs = runtime, store, jobs
        self._facts, self._tender, self._looker = facts, tender, looker
        self._refronter = refronter
        self._ceilings = CeilingWatch()
        self._environments: dict[str, list[str]] = {}  # by image

    def sampled(self, processes: Iterable[GpuProcess]) -> bool:
        """Take one moment's processes; whether a workload is over its ceiling, or not any more."""
        ceilings = {
            each.stable: each.gpu.memory_bytes
            for each in self._store.workloads()
            if each.stable and each.gpu and each.gpu.memory_bytes
        }
        return self._ceilings.add(processes, ceilings)

    async def tend(self, report: DoctorReport) -> None:
        """Do what is due after a look of the doctor's, the first of which is at the start."""
        await self._refronter.see_to_it()
        lost = {
            finding.subject.removeprefix("container/")
            for finding in report.findings
            if finding.code == NOT_SEEN
        }
        over = {
            each.stable
            for each in self._store.workloads()
            if each.stable and self._ceilings.over(each.stable)
        }
        try:
            await self._tender.tend(lost=lost, over=over, left=self._left_behind())
        except ProblemError as problem:
            log.info("workloads are not tended yet: %s", problem.detail)

    def _left_behind(self) -> set[str]:
        """None while a job is about to see to it. Raises ProblemError `node.not_ready`."""
        jobs = (job for job in self._jobs.newest() if job.state not in ENDED)
        if any(job.kind in (DEPLOY, REVERT, REMOVE, RESTART) for job in jobs):
            return set()
        workloads, containers = self._store.workloads(), self._runtime.containers()
        left = set(adrift(workloads, containers))
        facts = self._facts()
        if is_podman(facts.runtime) and facts.host.booted_at is not None:
            left |= down_since_boot(workloads, containers, facts.host.booted_at)
        return left

    async def look(
        self, found: Iterable[tuple[WorkloadRecord, WorkloadStatus]]
    ) -> list[WorkloadStatus]:
        """The statuses with how each is doing."""
        pairs = list(found)
        unknown: str | None = None
        try:
            with fail_after(LOOK_SECONDS):
                for record, status in pairs:
                    status.over_ceiling = self._ceilings.over(record.stable or "")
                    status.by_itself = self._tender.told(record.name)
                    if record.front is not None:
                        status.proxy = self._traffic.shown(record.name)
                    if not self._changing(status):
                        await self._compare(record, status)
                        status.proxy_wrong = await self._proxy_wrong(record)
        except ProblemError as problem:
            unknown = problem.detail
        except TimeoutError:
            unknown = f"the container runtime did not answer within {LOOK_SECONDS:g} s"
        if unknown is not None:
            for _, status in pairs:
                status.drift, status.drift_unknown = [], unknown
        return [status for _, status in pairs]

    async def _proxy_wrong(self, record: WorkloadRecord) -> list[str]:
        if record.front is None:
            return []
        if not await self._traffic.targets(record.name):
            return ["its configuration is gone, or is not Roost's; it is made again soon"]
        return await self._traffic.wrong(record.name)

    def _changing(self, status: WorkloadStatus) -> bool:
        """Whether it is meant to be otherwise just now."""
        if status.deployment_state is not None and status.deployment_state not in AT_REST:
            return True
        if status.deployment_state == "stuck":
            return True  # and what becomes of it is for a person to say
        try:
            jobs = self._jobs.newest()
        except ProblemError:  # there are none yet
            return False
        return any(
            job.kind in (REMOVE, RESTART) and job.subject == status.name and job.state not in ENDED
            for job in jobs
        )

    async def _compare(self, record: WorkloadRecord, status: WorkloadStatus) -> None:
        """Raises ProblemError `runtime.*`."""
        part = self._store.held_to(record)
        if part is None or record.stable is None or record.recipe is None:
            return
        seen = await self._seen(record.stable)
        answer = await inspect_if_there(self._runtime, record.stable)
        answer = answer or await inspect_if_there(self._runtime, record.name)
        own = [] if answer is None else await self._environment(str(answer.get("Image") or ""))
        facts = self._facts()
        wanted = Wanted(
            name=record.name,
            stable=record.stable,
            recipe=record.recipe,
            gpus=record.gpus,
            gpu_way=record.gpu_way,
            gpus_told=not is_podman(facts.runtime),
            seen=seen,
            may_end=part.awaited == "completed",
        )
        status.drift = drift(wanted, answer, own, facts.gpus)
        owner = adrift(self._store.workloads(), self._runtime.containers()).get(record.stable)
        if owner is not None:
            status.drift.append(f"{NETWORK_GONE}: {owner} was started after it")
        if answer is None or answer.get("Id") != record.stable:
            status.state = "missing"
        else:
            status.state = state_of((answer.get("State") or {}).get("Status"))

    async def _seen(self, container_id: str) -> frozenset[str] | None:
        """On Podman: the GPUs whose device nodes are in it, as the container was started.

        A CDI specification by index may mean another GPU after a restart.
        """
        facts = self._facts()
        container = self._runtime.containers().get(container_id)
        if container is None or not is_podman(facts.runtime):
            return None
        look = (await self._looker.glance([container])).get(container_id)
        minors = {gpu.minor: gpu.uuid for gpu in facts.gpus}
        if look is None or look.way != "device_nodes" or look.tegra or None in minors:
            return None
        return frozenset(minors.get(minor, f"/dev/nvidia{minor}") for minor in look.minors)

    async def _environment(self, image: str) -> list[str]:
        """Kept by id: an image does not change. Nothing, where the image is gone."""
        if image not in self._environments:
            try:
                self._environments[image] = await self._runtime.image_environment(image)
            except ProblemError as problem:
                if not problem.code.startswith("image."):
                    raise
                return []
        return self._environments[image]
