"""What a simulated node tells of a workload's arms: requests, measures, answers to replays.

Every container answers alike, unless it says otherwise by its environment, `SIMULATE=slow,failing`,
or by its image's tag: `edge/gateway:2.0-slow`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal, NamedTuple, get_args

from agent.containers.in_memory import InMemoryRuntime
from agent.containers.inside_http import InsideAnswer
from agent.measuring.readings import NotMeasuredError
from agent.measuring.requests import NO_PROXY, Requests, RequestSource
from agent.measuring.sources import ArmSources
from agent.protocol.arms import ArmName, RequestFigures, bucket_of
from agent.protocol.measures import Measure, Replay
from agent.rules.chance import repeatable
from agent.workloads.recipe import WORKLOAD

Habit = Literal["slow", "failing", "worse"]
VARIABLE = "SIMULATE"

# As a detector behind a gateway: a few requests a second, some tens of milliseconds each.
REQUESTS_PER_SECOND = (4.0, 20.0)
MEDIAN_SECONDS = (0.02, 0.08)
SIGMA = 0.3  # of the logarithm
SLOWER = 1.5
FAILED_SHARE = 0.05
VALUE, WORSE_VALUE, VALUE_SPREAD = 0.9, 0.7, 0.005
# Nobody waits for what nobody asked for longer than this.
CATCH_UP_SECONDS = 600.0


def habits_of(image: str, environment: Sequence[str]) -> frozenset[Habit]:
    """What is said to be bad about a container."""
    given = dict(each.partition("=")[::2] for each in environment).get(VARIABLE, "")
    words = {*re.split(r"\W+|_", given), *re.split(r"\W+|_", image.rpartition(":")[2])}
    return frozenset(each for each in get_args(Habit) if each in words)


class _Counted(NamedTuple):
    window: str
    until: float
    figures: RequestFigures


class SimulatedArms:
    """See `ArmSources`.

    Args:
        traffic: what the node's proxies say; they tell the weights, and their windows.
        clock: seconds, which nobody sets.
    """

    def __init__(
        self,
        runtime: InMemoryRuntime,
        *,
        seed: str,
        traffic: RequestSource,
        clock: Callable[[], float],
    ) -> None:
        self._runtime, self._seed, self._traffic, self._clock = runtime, seed, traffic, clock
        self._counted: dict[str, _Counted] = {}  # by container
        self._chances: dict[str, Random] = {}

    @property
    def sources(self) -> ArmSources:
        """For `Measuring`."""
        return ArmSources(lambda measure: _Reader(self, measure), self._send, self._requests)

    def value(self, container: str, name: str) -> float:
        """A reading of a measure. Raises NotMeasuredError."""
        habits = self._habits(container)
        if habits is None:
            raise NotMeasuredError("it does not run (simulated)")
        middle = WORSE_VALUE if "worse" in habits else VALUE
        return self._chance(f"{container}/{name}").gauss(middle, VALUE_SPREAD)

    async def _send(self, container: str, replay: Replay) -> InsideAnswer:
        del replay
        one = RequestFigures()
        seconds = self._answer(container, one, 1)
        return InsideAnswer(status=500 if one.errors else 200, seconds=seconds, body=b"")

    def _requests(self, workload: str, stable: str | None, candidate: str | None) -> Requests:
        """What the proxy would have seen. Without one: as if one stood there."""
        told = self._traffic(workload, stable, candidate)
        weight = told.weight
        if (told.window is None and told.why != NO_PROXY) or "requests" in told.unseen:
            return told
        shares: dict[ArmName, tuple[str | None, float]] = {
            "stable": (stable, 0.0 if weight is None else (100 - weight) / 100),
            "candidate": (candidate, 1.0 if weight is None else weight / 100),
        }
        chance = repeatable(f"{self._seed}/requests/{workload}")
        rate = chance.uniform(*REQUESTS_PER_SECOND)
        arms = {
            arm: self._so_far(container, rate * share, told.window or "")
            for arm, (container, share) in shares.items()
            if container is not None
        }
        return told._replace(arms=arms)

    def _so_far(self, container: str, rate: float, window: str) -> RequestFigures:
        now = self._clock()
        known = self._counted.get(container)
        if known is None or known.window != window:
            known = _Counted(window, now, RequestFigures())
        since = min(now - known.until, CATCH_UP_SECONDS)
        if self._habits(container) is None:
            since = 0.0
        due = int(since * rate)
        self._answer(container, known.figures, due)
        # What is less than a request is left for the next time.
        until = now - (since - due / rate) if rate else now
        there = self._runtime.containers()
        self._counted = {one: each for one, each in self._counted.items() if one in there}
        self._counted[container] = known._replace(until=until)
        return known.figures

    def _answer(self, container: str, figures: RequestFigures, count: int) -> float:
        """So many answers counted; how long the last one took."""
        chance, habits = self._chance(container), self._habits(container) or frozenset()
        median, seconds = self._median(container), 0.0
        if "slow" in habits:
            median *= SLOWER
        figures.requests += count
        for _ in range(count):
            seconds = chance.lognormvariate(0.0, SIGMA) * median
            if "failing" in habits and chance.random() < FAILED_SHARE:
                figures.errors += 1
                continue
            bucket = bucket_of(seconds)
            figures.latency[bucket] = figures.latency.get(bucket, 0) + 1
        return seconds

    def _median(self, container: str) -> float:
        """The same for all containers of a workload."""
        found = self._runtime.containers().get(container)
        name = "" if found is None else found.labels.get(WORKLOAD, found.name)
        return repeatable(f"{self._seed}/latency/{name}").uniform(*MEDIAN_SECONDS)

    def _habits(self, container: str) -> frozenset[Habit] | None:
        """None: it does not run."""
        found = self._runtime.containers().get(container)
        if found is None or found.state != "running":
            return None
        return habits_of(found.image, self._runtime.environment_of(found.id))

    def _chance(self, name: str) -> Random:
        return self._chances.setdefault(name, repeatable(f"{self._seed}/{name}"))


class _Reader:
    def __init__(self, arms: SimulatedArms, measure: Measure) -> None:
        self._arms, self._measure = arms, measure

    async def read(self, container: str, at: float) -> float:
        """Raises NotMeasuredError."""
        del at
        return self._arms.value(container, self._measure.name)
