"""New containers on their way to be well: started, healthy, with their GPUs in sight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agent.protocol.containers import Container
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuProbe
from agent.workloads.attempt import Attempt
from agent.workloads.containers import RUNNING, Containers
from agent.workloads.gpu_check import GpuCheck, GpuSeen
from agent.workloads.probing import Prober
from agent.workloads.records import Part

LOOK_SECONDS = 0.5
LAST_LINES = 5


class Candidates:
    """The candidates of one attempt.

    One that ended is started once more where nobody knows that it ended by itself: the agent has
    just taken the deployment up, or the runtime was away. From then on it has its whole
    `start_deadline` to be well again (`coming_up`).
    """

    def __init__(
        self,
        attempt: Attempt,
        containers: Containers,
        *,
        facts: Callable[[], NodeFacts],
        check: GpuCheck,
        prober: Prober,
    ) -> None:
        self._attempt, self._containers = attempt, containers
        self._facts, self._check, self._prober = facts, check, prober
        # Those that were started once more, and how often the runtime had been lost by then.
        self._excused: dict[str, int] = {}
        self._losses = self._losses_before = containers.losses
        self._comes_up_until = time.monotonic()
        self._taken_up = attempt.state in ("starting", "probing", "canary")

    def check_gpus(self, part: Part) -> None:
        """A GPU may be lost between plan and start. Raises ProblemError `gpu.lost`."""
        facts = self._facts()
        there = {gpu.uuid for gpu in facts.gpus} | {
            each.uuid for gpu in facts.gpus for each in gpu.mig_instances
        }
        gone = [uuid for uuid in part.gpus if uuid not in there]
        if gone:
            raise ProblemError(
                "gpu.lost",
                f"{part.name}: {', '.join(gone)} is not there any more",
                params={"workload": part.name, "gpus": gone},
                hint="`roost gpu ls NODE` shows what there is; the MIG layout may have changed.",
            )

    async def start(self, part: Part, new: str) -> None:
        """Start it, unless it runs or has completed. Raises ProblemError `deploy.not_started`."""
        container = await self._attempt.do(self._containers.find, new)
        if container is not None and (container.state in RUNNING or _completed(part, container)):
            return
        try:
            await self._attempt.do(self._containers.start, new)
        except ProblemError as problem:
            if problem.code not in ("runtime.refused", "container.conflict"):
                raise
            raise not_started(part, problem) from problem

    async def until_well(self, part: Part, new: str) -> Container:
        """Wait until it is healthy and its probes pass.

        Raises:
            ProblemError: `deploy.unwell`.
        """
        until = time.monotonic() + part.start_deadline
        while True:
            why = await self.unwell(part, new)
            container = await self._attempt.do(self._containers.find, new)
            if why is None and container is not None:
                return container
            if time.monotonic() >= until:
                raise await self._problem(
                    part, new, f"it is not well after {part.start_deadline:g} s: {why}"
                )
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def coming_up(self) -> bool:
        """Whether what is not well may be so because the runtime, or one of them, came up again."""
        return time.monotonic() < self._comes_up_until

    async def unwell(self, part: Part, new: str) -> str | None:
        """What is not well with it now, and may become well.

        Raises:
            ProblemError: `deploy.unwell`: it will not.
        """
        container = await self._attempt.do(self._containers.find, new)
        if container is None:
            raise _failed(
                f"{part.name}: somebody removed the new container",
                "Find out who removes containers on this node.",
            )
        found = await self._attempt.do(self._prober.look, container, part.probes)
        if self._containers.losses != self._losses:
            self._losses = self._containers.losses
            self._wait_for(*self._attempt.record.parts)
        if found.state == "well":
            return None
        if found.state == "ended":
            if _completed(part, container):
                return None
            # A runtime that stops ends its containers first, and still answers who is connected.
            await self._attempt.do(self._containers.reach)
            if not self._may_start_again(new):
                raise await self._problem(part, new, found.why)
            self._attempt.log(f"{part.name}: {found.why}; it is started once more")
            self._wait_for(part)
            await self._attempt.do(self._containers.start, new)
        elif found.state == "unwell":
            raise await self._problem(part, new, found.why)
        return f"{part.name}: {found.why}"

    async def gpus_seen(self, part: Part, container: Container) -> GpuSeen | None:
        """What it sees of its GPUs; None: it has none, or does not run any more.

        Raises:
            ProblemError: `gpu.not_seen`, `gpu.could_not_tell` where it must be told.
        """
        if not part.gpus or container.state != "running":
            return None
        probe = next((each for each in part.probes if isinstance(each, GpuProbe)), None)
        seen = await self._attempt.do(
            self._check.look, container, part.gpus, self._facts().gpus, probe
        )
        if seen.verdict == "wrong":
            raise ProblemError(
                "gpu.not_seen",
                f"{part.name}: {seen.what}",
                params={"workload": part.name, "gpus": part.gpus, "how": seen.how},
                hint="`roost doctor NODE` looks for the cause.",
            )
        if seen.verdict == "unknown" and part.gpu is not None and part.gpu.verify == "required":
            raise ProblemError(
                "gpu.could_not_tell",
                f"{part.name}: whether it sees its GPUs could not be told: {seen.what}",
                params={"workload": part.name, "gpus": part.gpus},
                hint="Put nvidia-smi or a GPU probe into the image, or do not require the check.",
            )
        return seen

    def _may_start_again(self, new: str) -> bool:
        losses = self._containers.losses
        was_away = self._attempt.runtime_was_away or losses != self._losses_before
        if not (self._taken_up or was_away) or self._excused.get(new) == losses:
            return False
        self._excused[new] = losses
        return True

    def _wait_for(self, *parts: Part) -> None:
        until = time.monotonic() + max(part.start_deadline for part in parts)
        self._comes_up_until = max(self._comes_up_until, until)

    async def _problem(self, part: Part, new: str, why: str) -> ProblemError:
        """With the container's last words, for it is about to be removed."""
        try:
            lines = await self._containers.last_lines(new, LAST_LINES)
        except ProblemError:
            lines = []
        said = f"; its last words: {' / '.join(lines)[-300:]}" if lines else ""
        return _failed(f"{part.name}: {why}{said}", "Its last lines are in the job's log.")


def _completed(part: Part, container: Container) -> bool:
    """Whether it ran to its end as it should: others wait for just that."""
    return (
        part.awaited == "completed"
        and container.state == "exited"
        and container.started_at is not None
        and container.exit_code == 0
    )


def _failed(detail: str, hint: str) -> ProblemError:
    return ProblemError("deploy.unwell", detail, hint=hint)


def not_started(part: Part, problem: ProblemError) -> ProblemError:
    """The runtime's refusal to start one, with what to do about it."""
    words = problem.detail.lower()
    hint = "The words are the runtime's own; its log on the node may say more."
    if "could not select device driver" in words:
        hint = "nvidia-container-runtime-hook is missing: install the NVIDIA Container Toolkit."
    elif "port is already allocated" in words or "address already in use" in words:
        hint = "Another container or program has that port: `roost container ls NODE`."
    elif "hook" in words:
        hint = "NVIDIA's hook refused: `roost doctor NODE` looks for the cause."
    return ProblemError(
        "deploy.not_started",
        f"{part.name}: the runtime does not start it: {problem.detail}",
        params={"workload": part.name},
        hint=hint,
    )
