"""Arms on the wire: what a node measured of a workload's stable and its candidate container.

`GET /v1/deployments/{id}/arms` answers `Arms`: cumulative figures of one window, in which both arms
got traffic at the weight that holds. A window begins anew when the weight changes, when a counter
was lost, and when the agent starts.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from agent.protocol.workloads import Name

ArmName = Literal["stable", "candidate"]

# Answers are counted in buckets of 1 % width: quantiles are then off by 1 % at most, and a window
# of any length stays small on the wire.
GROWTH = 1.01
SAMPLES_KEPT = 200
# Of an answer that took 30 years: nobody waited for one in a higher bucket.
HIGHEST_BUCKET = 3465


def bucket_of(seconds: float) -> int:
    """Which bucket an answer falls into: the one from GROWTH**n to GROWTH**(n+1) microseconds."""
    return max(0, math.floor(math.log(max(1.0, seconds * 1e6)) / math.log(GROWTH)))


def seconds_of(bucket: int) -> float:
    """The middle of a bucket."""
    return math.pow(GROWTH, bucket + 0.5) / 1e6


class RequestFigures(msgspec.Struct, kw_only=True):
    """Requests that one arm answered in the window, as the proxy in front of it saw them."""

    requests: int = 0
    errors: int = 0  # 5xx, no connection, no answer; what the client cut off is none
    # Time until the answer's headers, or until the client gave up waiting for them (they would have
    # come later still), by `bucket_of`; not of errors, but where the proxy gave up waiting and
    # "requests.errors" is not seen.
    latency: dict[int, int] = {}


class ConnectionFigures(msgspec.Struct, kw_only=True):
    """Connections that one arm was given in the window, on ports that are TCP."""

    connections: int = 0
    failed: int = 0  # tries to make one to its container that came to nothing
    open: int = 0  # now, also of those that were made before the window


class Figure(msgspec.Struct, kw_only=True):
    """A figure that was read again and again in the window.

    Without a good reading it is all None, and `unknown` says why. With one, `unknown` says why the
    latest reading failed, where it did: `last` is of an earlier one, then.
    """

    count: int = 0  # good readings
    errors: int = 0  # readings that failed: the measurement broke, whatever the workload does
    last: float | None = None
    last_at: float | None = None  # seconds of the window
    lowest: float | None = None
    highest: float | None = None
    mean: float | None = None
    # The newest good readings, oldest first, at most SAMPLES_KEPT; of measures alone.
    samples: list[float] = []
    unknown: str | None = None


class ArmGpu(msgspec.Struct, kw_only=True):
    """A GPU or MIG slice that an arm was given, read once a second."""

    uuid: str
    # What computes there beside the arm's own processes: then utilisation, temperature and XIDs
    # are not the arm's alone. None: it is not known who does.
    shared_with: list[str] | None = []  # "stable", "candidate", "others"
    memory_bytes: Figure = msgspec.field(default_factory=Figure)  # of the arm's own processes
    utilization_percent: Figure = msgspec.field(default_factory=Figure)  # of the whole GPU
    temperature_celsius: Figure = msgspec.field(default_factory=Figure)
    # Since the arms are measured, over all windows until the agent starts anew; one that names a
    # process of somebody else is not counted. None: see `unknown`.
    xids: int | None = None
    xid_codes: list[int] = []  # which, each once
    unknown: dict[str, str] = {}


class GpuProbed(msgspec.Struct, kw_only=True):
    """What the arm sees of its GPUs, looked at from inside; the latest look."""

    verdict: Literal["right", "wrong", "unknown"]
    how: str  # the way that told: "nvidia-smi", "probe", "namespaces", "could_not_tell"
    what: str  # what was seen, in words
    at: float  # seconds of the window; below 0: before it began


class Arm(msgspec.Struct, kw_only=True):
    """One container's figures of the window.

    What is None, or is a measure that is not there, has an entry in `unknown`: field name, or
    "measures.NAME", to reason in words. "requests.errors" and "replayed.errors": errors are not
    seen there, as those in a gRPC trailer, and the count of them is no figure.
    """

    container: str | None = None  # id
    runs: bool | None = None
    requests: RequestFigures | None = None  # through the proxy
    replayed: RequestFigures | None = None  # by the node itself: see `Replay`
    connections: ConnectionFigures | None = None  # None: none of its ports is TCP
    gpus: list[ArmGpu] | None = None  # []: it was given none
    gpu_memory_bytes: Figure | None = None  # of its processes, on all its GPUs together
    gpu_probe: GpuProbed | None = None
    # By the runtime, by the agent, by a person; counted as XIDs are.
    restarts: int | None = None
    measures: dict[str, Figure] = {}  # by the name of the `Measure`
    unknown: dict[str, str] = {}


class WorkloadArms(msgspec.Struct, kw_only=True):
    """One workload's two arms in one window. Another `window`: all figures began anew, but those
    that say otherwise."""

    name: Name
    window: str
    seconds: float  # since the window began, by a clock that nobody sets
    weight: int | None = None  # percent to the candidate; None: it is not weighted
    stable: Arm
    candidate: Arm


class Arms(msgspec.Struct, kw_only=True):
    """`GET /v1/deployments/{id}/arms`."""

    deployment: str
    workloads: list[WorkloadArms] = []  # those whose container changes; none until it is watched
    unknown: str | None = None  # why there are none
