"""Measures on the wire: what a node reads of both arms beside requests and GPUs, and replays.

They travel with a deployment (`DeployOptions.measures`, `.replays`, by workload), and what comes of
them is in `agent.protocol.arms`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.protocol.patterns import whole
from agent.protocol.workloads import PortNumber

MeasureName = Annotated[str, msgspec.Meta(pattern=whole(r"[a-z][a-z0-9_]{0,47}"))]
MetricName = Annotated[str, msgspec.Meta(pattern=whole(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,127}"))]
# A request target in origin form.
Target = Annotated[str, msgspec.Meta(pattern=whole(r"/[!-~]*"), max_length=1024)]
Interval = Annotated[float, msgspec.Meta(ge=1, le=3600)]

MEASURES_LIMIT = 16  # of one workload


class PrometheusMeasure(
    msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="prometheus"
):
    """A metric on the container's own page of metrics, read in its own network.

    value: of a gauge; more than one series that match are no value. rate: of a counter, its
    increase per second since the reading before, or per increase of `per`; series that match are
    added up. quantile: of a histogram, from what was added to its buckets since the reading before;
    one in the last bucket, which has no end, is no value.
    """

    name: MeasureName
    port: PortNumber
    path: Target = "/metrics"
    metric: MetricName  # of a histogram without _bucket
    labels: dict[str, str] = {}  # those that a series must have
    read: Literal["value", "rate", "quantile"] = "value"
    quantile: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.99
    per: MetricName | None = None  # another counter, with the same labels
    # Of a page without it. Libraries leave a labelled counter out until it has counted something;
    # a name that is wrong looks alike.
    absent: Literal["error", "zero"] = "error"
    interval: Interval = 10.0
    timeout: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 5.0
    limit_bytes: Annotated[int, msgspec.Meta(ge=1024, le=16 * 1024 * 1024)] = 1024 * 1024


class ExecMeasure(
    msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="exec"
):
    """A command in the container: it ends with 0, and its last line is a number."""

    name: MeasureName
    command: Annotated[list[str], msgspec.Meta(min_length=1, max_length=64)]
    interval: Interval = 60.0  # from one start to the next; it never runs beside itself
    timeout: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 30.0
    limit_bytes: Annotated[int, msgspec.Meta(ge=64, le=1024 * 1024)] = 64 * 1024


Measure = PrometheusMeasure | ExecMeasure

REPLAY_BODY_LIMIT_BYTES = 256 * 1024
# A request that was made up says so to the workload, and to whoever reads its log.
REPLAY_HEADER = "Roost-Replay"


class Replay(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A request that the node itself sends to each arm, beside what comes through the proxy."""

    port: PortNumber
    method: Annotated[str, msgspec.Meta(pattern=whole(r"[A-Z]{1,16}"))] = "GET"
    path: Target = "/"
    headers: Annotated[dict[str, str], msgspec.Meta(max_length=32)] = {}
    body: Annotated[bytes, msgspec.Meta(max_length=REPLAY_BODY_LIMIT_BYTES)] = b""
    rate: Annotated[float, msgspec.Meta(gt=0, le=100)] = 1.0  # a second, to each arm
    timeout: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 10.0
