"""One arm of a workload: what its container does, and what is read of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from agent.measuring.gpu_watch import GpuWatch, Holder, Moment
from agent.measuring.measurers import Reader
from agent.measuring.readings import NotMeasuredError, Readings
from agent.measuring.replaying import Replayed
from agent.measuring.requests import Requests
from agent.protocol.arms import SAMPLES_KEPT, Arm, ArmName, GpuProbed
from agent.protocol.containers import Container
from agent.protocol.measures import Measure
from agent.protocol.workloads import GpuProbe

FIELDS = ("requests", "replayed", "gpus", "gpu_memory_bytes", "gpu_probe", "restarts")


class ArmOf(NamedTuple):
    """What an arm is. `why` says why nothing is measured while it does not run, or rests."""

    name: ArmName
    container: str | None
    gpus: Sequence[str] = ()
    probe: GpuProbe | None = None
    rests: bool = False  # whatever it does is not measured
    why: str = "it does not run"

    @property
    def holder(self) -> Holder | None:
        """Of its GPUs."""
        if self.container is None:
            return None
        return Holder(self.name, self.container, self.gpus, self.rests)


class Reading(NamedTuple):
    """A measure as it is read in one window."""

    reader: Reader
    figure: Readings


class ArmWatch:
    """Figures of one arm, in windows that others begin."""

    def __init__(
        self,
        arm: ArmOf,
        other: ArmOf,
        *,
        measures: Sequence[Measure],
        reader: Callable[[Measure], Reader],
        replays: bool,
    ) -> None:
        self.arm = arm
        self._measures, self._reader, self._replays = measures, reader, replays
        holder = arm.holder
        self._gpus = (
            [] if holder is None else [GpuWatch(uuid, holder, other.holder) for uuid in arm.gpus]
        )
        self._restarts = 0
        self._run: tuple[float | None, int] | None = None  # when it was started, and how often
        self._why = arm.why
        self._probed: tuple[float, GpuProbed] | None = None
        self._probe_why = "it was not looked at yet"
        self.runs: bool | None = None
        self._ran_once = False
        self.begin(0.0)

    def begin(self, at: float) -> None:
        """Another window, at so many seconds."""
        self._began = at
        self._ran = self.runs is True and not self.arm.rests
        self._memory = Readings()
        self.replayed = Replayed()
        self.readings = {
            each.name: Reading(self._reader(each), Readings(keep=SAMPLES_KEPT))
            for each in self._measures
        }
        for gpu in self._gpus:
            gpu.begin()

    def take(self, moment: Moment) -> None:
        """One moment of the node."""
        self.look(moment.containers)
        if self._ran_once:
            for gpu in self._gpus:
                gpu.count(moment)
        if not self.runs or self.arm.rests:
            return
        at = moment.at - self._began
        held = [gpu.take(moment, at) for gpu in self._gpus]
        known = [each for each in held if each is not None]
        if len(known) < len(held):
            why = next(gpu.shown().memory_bytes.unknown for gpu in self._gpus)
            self._memory.fail(NotMeasuredError(why or "one of its GPUs does not tell", broke=False))
        elif held:
            self._memory.add(sum(known), at)

    def probed(self, at: float, verdict: GpuProbed) -> None:
        """A look at its GPUs from inside, at so many seconds."""
        self._probed = at, verdict

    def not_probed(self, why: str) -> None:
        """Such a look failed: the one before is what is known."""
        self._probe_why = why

    def shown(self, told: Requests) -> Arm:
        """As it is told, with what is known of the requests that came through the proxy."""
        if not self._ran:
            fields = [*FIELDS, *(f"measures.{each.name}" for each in self._measures)]
            return Arm(
                container=self.arm.container,
                runs=self.runs,
                unknown=dict.fromkeys(fields, self._why),
            )
        requests = told.arms.get(self.arm.name)
        unknown = {**told.unseen, **({} if requests is not None else {"requests": told.why})}
        replayed = self.replayed.figures if self.replayed.figures.requests else None
        if replayed is None:
            unknown["replayed"] = self.replayed.why if self._replays else "nothing is replayed"
        if not self._gpus:
            unknown["gpu_memory_bytes"] = unknown["gpu_probe"] = "it was given no GPU"
        elif self._probed is None:
            unknown["gpu_probe"] = self._probe_why
        return Arm(
            container=self.arm.container,
            runs=self.runs,
            requests=requests,
            replayed=replayed,
            connections=told.connections.get(self.arm.name),
            gpus=[gpu.shown() for gpu in self._gpus],
            gpu_memory_bytes=self._memory.shown() if self._gpus else None,
            gpu_probe=self._shown_probe(),
            restarts=self._restarts,
            measures={name: each.figure.shown() for name, each in self.readings.items()},
            unknown=unknown,
        )

    def _shown_probe(self) -> GpuProbed | None:
        if self._probed is None:
            return None
        at, seen = self._probed
        return GpuProbed(verdict=seen.verdict, how=seen.how, what=seen.what, at=at - self._began)

    def look(self, containers: Mapping[str, Container]) -> None:
        """Whether it runs, and whether it was started anew since."""
        if self.arm.container is None:
            return
        container = containers.get(self.arm.container)
        if container is None:
            self.runs = False if containers else None
            self._why = "the runtime does not tell of it"
            return
        self.runs, self._why = container.state == "running", self.arm.why
        if self.runs and not self.arm.rests:
            self._ran = self._ran_once = True
        run = container.started_at, container.restart_count
        if self._run is not None and run[0] != self._run[0]:
            # A start by hand sets the runtime's own count back to 0.
            self._restarts += max(1, run[1] - self._run[1])
        self._run = run
