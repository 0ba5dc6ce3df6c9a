"""One workload's two arms while its deployment is watched: windows, and what reads what when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, NamedTuple

from anyio import fail_after

from agent.measuring.arm_watch import ArmOf, ArmWatch
from agent.measuring.gpu_watch import Moment
from agent.measuring.measurers import Reader
from agent.measuring.readings import NotMeasuredError
from agent.measuring.replaying import Replayed, Replayer, Sender
from agent.measuring.requests import Requests, RequestSource
from agent.protocol.arms import GpuProbed, WorkloadArms
from agent.protocol.containers import Container
from agent.protocol.measures import Measure, Replay
from agent.protocol.problems import ProblemError
from agent.workloads.gpu_check import GpuSeen

# Each runs nvidia-smi, or the workload's own probe, in the container.
PROBE_EVERY_SECONDS = 60.0
PROBE_SECONDS = 120.0
# Until an arm that does not run is looked at again.
REST_SECONDS = 1.0

log = logging.getLogger(__name__)


class Means(NamedTuple):
    """How a node measures."""

    reader: Callable[[Measure], Reader]
    send: Sender
    requests: RequestSource
    look_inside: Callable[[ArmOf], Awaitable[GpuSeen]]  # may raise ProblemError
    clock: Callable[[], float]  # seconds, which nobody sets
    window: Callable[[], str]  # a name for each window


class WorkloadWatch:
    """Measures one workload. Each reading is a task of its own: one that hangs holds up no other.

    Between `start` and `stop` it reads by itself what `take` does not bring.
    """

    def __init__(
        self,
        name: str,
        stable: ArmOf,
        candidate: ArmOf,
        *,
        means: Means,
        measures: list[Measure],
        replay: Replay | None,
    ) -> None:
        self._name, self._means = name, means
        # Of two of one name the later one is read.
        self._measures = measures = list({each.name: each for each in measures}.values())
        self._replay = replay

        def arm(own: ArmOf, other: ArmOf) -> ArmWatch:
            return ArmWatch(
                own, other, measures=measures, reader=means.reader, replays=replay is not None
            )

        self._stable, self._candidate = arm(stable, candidate), arm(candidate, stable)
        self._tasks: list[asyncio.Task[None]] = []
        self._proxy_window = self._requests().window
        self._begin()

    def start(self) -> None:
        """Begin to read."""
        self._tasks = [
            asyncio.create_task(work, name=f"measure {self._name}") for work in self._works()
        ]

    async def stop(self) -> None:
        """End what `start` began."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take(self, moment: Moment) -> None:
        """One moment of the node."""
        self._keep_window()
        for arm in (self._stable, self._candidate):
            arm.take(moment)

    def look(self, containers: Mapping[str, Container]) -> None:
        """Whether its containers run."""
        self._keep_window()
        for arm in (self._stable, self._candidate):
            arm.look(containers)

    def shown(self) -> WorkloadArms:
        """As it is told."""
        self._keep_window()
        requests = self._requests()
        return WorkloadArms(
            name=self._name,
            window=self._window,
            seconds=self._means.clock() - self._began,
            weight=requests.weight,
            stable=self._stable.shown(requests),
            candidate=self._candidate.shown(requests),
        )

    def _begin(self) -> None:
        self._window, self._began = self._means.window(), self._means.clock()
        for arm in (self._stable, self._candidate):
            arm.begin(self._began)

    def _keep_window(self) -> None:
        """Another one when the proxy's is another."""
        window = self._requests().window
        if window != self._proxy_window:
            self._proxy_window = window
            self._begin()

    def _requests(self) -> Requests:
        return self._means.requests(
            self._name, self._stable.arm.container, self._candidate.arm.container
        )

    def _works(self) -> Iterator[Coroutine[Any, Any, None]]:
        for arm in (self._stable, self._candidate):
            if arm.arm.container is None or arm.arm.rests:
                continue
            for measure in self._measures:
                yield self._keep_reading(arm, measure)
            if arm.arm.gpus:
                yield self._keep_looking(arm)
            if self._replay is not None:
                yield self._replays(arm, self._replay)

    async def _keep_reading(self, arm: ArmWatch, measure: Measure) -> None:
        while True:
            began = self._means.clock()
            while not arm.runs or arm.arm.container is None:
                await asyncio.sleep(REST_SECONDS)
                began = self._means.clock()
            await self._read(arm, arm.arm.container, measure.name)
            await asyncio.sleep(max(0.0, began + measure.interval - self._means.clock()))

    async def _read(self, arm: ArmWatch, container: str, name: str) -> None:
        # Of the window in which it begins: another one has another.
        reader, figure = arm.readings[name]
        window_began = self._began
        try:
            value = await reader.read(container, self._means.clock())
        except NotMeasuredError as error:
            figure.fail(error)
        except Exception as error:
            log.exception("measure %s of %s failed", name, self._name)
            figure.fail(NotMeasuredError(f"the agent failed to read it: {error}"))
        else:
            figure.add(value, self._means.clock() - window_began)

    async def _keep_looking(self, arm: ArmWatch) -> None:
        while True:
            if not arm.runs:
                await asyncio.sleep(REST_SECONDS)
                continue
            try:
                with fail_after(PROBE_SECONDS):
                    seen = await self._means.look_inside(arm.arm)
            except TimeoutError:
                arm.not_probed(f"looking into it took longer than {PROBE_SECONDS:g} s")
            except ProblemError as problem:
                arm.not_probed(problem.detail)
            except Exception as error:
                log.exception("looking into %s failed", self._name)
                arm.not_probed(f"the agent failed to look: {error}")
            else:
                at = self._means.clock()
                arm.probed(at, GpuProbed(verdict=seen.verdict, how=seen.how, what=seen.what, at=at))
            await asyncio.sleep(PROBE_EVERY_SECONDS)

    async def _replays(self, arm: ArmWatch, replay: Replay) -> None:
        def now() -> tuple[str, Replayed] | None:
            container = arm.arm.container
            return (container, arm.replayed) if arm.runs and container is not None else None

        await Replayer(replay, self._means.send, now).run()
