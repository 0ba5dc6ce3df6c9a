"""Deployments on the wire: workloads of one release as they change on one node.

`POST /v1/workloads/plan` and `POST /v1/containers/{name}/pin/plan` answer a `DeployPlan` and
change nothing; the same without `/plan` begin a deployment and answer its job.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.protocol.compatibility import Verdict
from agent.protocol.measures import MEASURES_LIMIT, Measure, Replay
from agent.protocol.problems import Problem
from agent.protocol.workloads import GpuRequest, Name, Seconds, Strategy, Workload

DeploymentState = Literal[
    "planned",
    "preparing",
    "prepared",
    "starting",
    "probing",
    "canary",
    "confirming",
    "done",
    "reverting",
    "reverted",
    "stuck",
]
AT_REST: frozenset[DeploymentState] = frozenset({"done", "reverted", "stuck"})

GpuWay = Literal["none", "cdi", "device_request", "runtime"]
GpuChecked = Literal["not_asked", "nvidia-smi", "probe", "namespaces", "could_not_tell"]

CONFIRM_WITHIN_SECONDS = 900.0


class DeployOptions(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How a deployment goes, whatever it brings."""

    confirm: Literal["auto", "manual"] = "auto"
    # The lease: unless it is confirmed or renewed within so long, the node reverts by itself.
    confirm_within: Annotated[float, msgspec.Meta(ge=1, le=30 * 86400)] = CONFIRM_WITHIN_SECONDS
    # Whose deployment it is, where not a person's: a rollout finds what it began by this.
    steered_by: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    # By workload, while it is in `canary` and waits to be confirmed.
    measures: dict[str, Annotated[list[Measure], msgspec.Meta(max_length=MEASURES_LIMIT)]] = {}
    replays: dict[str, Replay] = {}  # their bodies are in no answer


class ApplyRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/workloads`: have these run as said. Others stay as they are."""

    release: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    workloads: Annotated[list[Workload], msgspec.Meta(min_length=1, max_length=64)]
    options: DeployOptions = msgspec.field(default_factory=DeployOptions)


class PinRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/containers/{name}/pin`: the same container again, on these GPUs.

    `soak` and `start_deadline` None: as it was deployed; a container by hand gets 10 s and 120 s.
    """

    gpu: GpuRequest
    strategy: Strategy | None = None
    soak: Seconds | None = None
    start_deadline: Seconds | None = None
    options: DeployOptions = msgspec.field(default_factory=DeployOptions)


class GpuChoice(msgspec.Struct, kw_only=True):
    """A GPU or a MIG slice that was chosen."""

    uuid: str
    index: int
    name: str
    why: str = ""


class PlannedWorkload(msgspec.Struct, kw_only=True):
    """What would become of one workload, in words for people."""

    name: str
    # "record": what only the agent reads is other; the container stays. "keep": nothing is other.
    action: Literal["create", "replace", "record", "keep", "remove"]
    image: str = ""  # which of its variants
    image_why: str = ""  # where there are several
    strategy: Strategy | None = None
    strategy_why: str = ""
    gpus: list[GpuChoice] = []
    gpu_way: GpuWay = "none"
    engine: str = ""  # the TensorRT engine that it gets, in words
    steps: list[str] = []  # what happens, in turn
    downtime: str = ""  # what whoever uses it notices
    if_it_fails: str = ""
    changes: list[str] = []  # what differs from the container that runs now
    lost: list[str] = []  # what the runtime cannot carry over
    warnings: list[str] = []
    problems: list[Problem] = []  # why it would be refused
    runs: Verdict | None = None  # whether its image can run here; None: not known


class DeployPlan(msgspec.Struct, kw_only=True):
    """Nothing has changed yet."""

    release: str
    workloads: list[PlannedWorkload]

    @property
    def problems(self) -> list[Problem]:
        """Why it would be refused."""
        return [problem for each in self.workloads for problem in each.problems]


class StateChange(msgspec.Struct, kw_only=True):
    state: DeploymentState
    at: float  # Unix seconds, by the node's clock
    by: str
    why: str = ""


class DeployedWorkload(msgspec.Struct, kw_only=True):
    """One workload's part of a deployment."""

    name: str
    strategy: Strategy
    gpus: list[str] = []
    gpu_way: GpuWay = "none"
    gpu_checked: GpuChecked = "not_asked"
    gpu_check: str = ""  # what was seen, in words
    old: str | None = None  # the container that ran before: kept, stopped
    new: str | None = None
    stays: bool = False  # `old` and `new` are one: only what the agent reads has changed
    lost: list[str] = []


class Deployment(msgspec.Struct, kw_only=True):
    """One release on one node."""

    id: str
    release: str
    state: DeploymentState
    owner: str
    created_at: float
    options: DeployOptions
    workloads: list[DeployedWorkload]
    history: list[StateChange]  # oldest first
    job: str | None = None  # that is at work on it, or was last
    problem: Problem | None = None  # why it reverts, has reverted, or is stuck
    lease_seconds_left: float | None = None  # while it is not confirmed
    confirmed: bool = False
    # Percent of new requests that the candidates of its weighted workloads get now. None: nothing
    # of it is weighted, or there is no container before to share with.
    weight: int | None = None


# How `WorkloadStatus.drift` begins of one whose network another container took away.
NETWORK_GONE = "its network is gone"


class WorkloadStatus(msgspec.Struct, kw_only=True):
    """`GET /v1/workloads`: one workload that this node runs by Roost's hand."""

    name: Name
    release: str
    container: str | None  # id of the stable one
    state: str  # of the container that runs: amid a deployment maybe the new one; or "missing"
    gpus: list[str] = []
    gpu_way: GpuWay = "none"
    memory_bytes: int | None = None  # its ceiling on each GPU
    gpu: GpuRequest | None = None
    engine: str | None = None  # the key of the TensorRT engine that its stable container has
    deployment: str | None = None
    deployment_state: DeploymentState | None = None
    can_undo: bool = False
    drift: list[str] = []  # how its container differs from what is written down, in words
    drift_unknown: str | None = None  # why that could not be told
    over_ceiling: dict[str, int] = {}  # bytes used on GPUs and MIG slices, by UUID
    by_itself: str | None = None  # what the agent does about it, or why it does not any more
    proxy: str | None = None  # what its proxy runs in; None: it publishes its ports itself
    proxy_wrong: list[str] = []  # how its proxy differs from what is written, in words


class RenewRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/deployments/{id}/renew`: whoever steers is still there. The body may be left out.

    A weight holds once `Deployment.weight` says so; of what is not weighted it changes nothing.
    """

    # Percent of new requests for the candidates; None: it stays as it is.
    weight: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None


class ResolveRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/workloads/{name}/resolve`: the way out of `stuck`."""

    how: Literal["keep-old", "keep-new", "retry"]
