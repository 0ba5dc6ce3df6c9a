"""What a candidate is judged by: `x-roost.rollout.analysis`, and careful defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from agent.protocol.measures import Measure, Replay

Of = Literal[
    "error_rate",  # 0 to 1, of requests
    "latency",  # seconds, at `quantile`
    "distribution",  # of the latency: only ever against the stable arm
    "gpu_memory",  # bytes, of the arm's processes
    "gpu_utilization",  # percent, the highest of its GPUs
    "gpu_temperature",  # degrees Celsius, the highest of its GPUs
    "xids",  # since the candidate is watched
    "restarts",  # the same
    "gpu_probe",  # what it sees of its GPUs from inside
    "measure",  # a number of its own: a Prometheus metric, or a command's last line
]
# These have a test whose false alarms are counted.
TESTED: frozenset[Of] = frozenset({"error_rate", "latency", "distribution"})

# What becomes of a condition that has too little data after `Analysis.patience`.
NoData = Literal["wait", "pass", "pause", "fail"]


class Condition(msgspec.Struct, kw_only=True, frozen=True):
    """One thing that must hold: a bound, or no worse than the stable arm; not both."""

    of: Of
    name: str = ""  # of a measure
    quantile: float = 0.99  # of "latency"
    workload: str | None = None  # None: each one that changes
    at_most: float | None = None
    at_least: float | None = None  # of a measure
    better: Literal["lower", "higher"] = "lower"  # of a measure that is held against stable's
    # Against the stable arm in the same window: the share by which it may be worse (0.1: 10 %); of
    # "distribution" Cliff's delta, 0 to 1. It fails when it surely is worse, and by more than so.
    worse_by: float | None = None
    above: float = 0.0  # an error rate up to this is no regression, whatever stable's is
    # Requests of each arm that it compares, or readings: before so many it does not pass.
    least: int = 0
    consecutive: int = 1  # readings in a row out of bounds, until it fails; of what is read
    initial_delay: float | None = None  # seconds; None: the analysis' own
    no_data: NoData | None = None  # None: the analysis' own
    dry_run: bool = False  # it is shown and decides nothing
    # weighted: only of workloads that are, and replace a container. measurable: left out where it
    # cannot be measured, which else is inconclusive.
    where: Literal["all", "weighted", "measurable"] = "all"

    @property
    def tested(self) -> bool:
        """Whether it takes a part of what may be false alarms."""
        return self.of in TESTED and not self.dry_run


# For a release that says nothing. Its model's first answers may be slow; errors count at once. Once
# the candidate answers all there is nothing to compare it with: the bound is for then.
CAREFUL: tuple[Condition, ...] = (
    Condition(of="error_rate", worse_by=0.25, above=0.001, least=200, where="weighted"),
    Condition(of="latency", worse_by=0.1, least=1000, initial_delay=30, where="weighted"),
    Condition(of="error_rate", at_most=0.02, least=200, where="weighted"),
    Condition(of="restarts", at_most=0, where="measurable"),
    Condition(of="xids", at_most=0, where="measurable"),
    Condition(of="gpu_probe", consecutive=2, where="measurable"),
)


class Analysis(msgspec.Struct, kw_only=True, frozen=True):
    """Times in seconds."""

    conditions: tuple[Condition, ...] = CAREFUL
    # How likely a candidate that is no different may fail, at most: on one node, over all looks at
    # it, all tested conditions together.
    false_alarms: float = 0.01
    initial_delay: float = 0.0  # since the candidate is watched; until then nothing counts
    patience: float = 600.0  # how long a condition may want for data
    no_data: NoData = "pause"
    errors: int = 5  # readings that may fail in a row until the measurement counts as broken
    # What nodes read and send for it, by workload; they go with the deployment.
    measures: dict[str, tuple[Measure, ...]] = {}
    replays: dict[str, Replay] = {}

    def measures_of(self, workloads: Iterable[str]) -> dict[str, list[Measure]]:
        """What is read of these."""
        return {name: list(self.measures[name]) for name in workloads if name in self.measures}
