"""Asking a node about its workloads: see `agent.protocol.deployments`."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from agent.protocol.arms import Arms
from agent.protocol.deployments import (
    ApplyRequest,
    Deployment,
    DeployPlan,
    PinRequest,
    RenewRequest,
    ResolveRequest,
    WorkloadStatus,
)
from agent.protocol.images import NodeImage
from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job
from agent.protocol.plan_request import PlanRequest
from agent.protocol.problems import ProblemError
from console.link.requests import Call, Requests, decode


class WorkloadClient:
    """One node's workload side. All methods raise ProblemError: the agent's own, or `link.*`."""

    def __init__(self, node: str, requests: Requests) -> None:
        self._node, self._requests = node, requests

    async def list(self) -> list[WorkloadStatus]:
        """The workloads that Roost placed there, by name."""
        content = await self._requests.exchange(Call(target="/v1/workloads"))
        return decode(self._node, content, list[WorkloadStatus])

    async def plan_pin(self, container: str, request: PinRequest) -> DeployPlan:
        """What a pin would do. Nothing changes."""
        content = await self._post(f"/v1/containers/{_quoted(container)}/pin/plan", request)
        return decode(self._node, content, DeployPlan)

    async def pin(self, container: str, request: PinRequest, key: str) -> Job:
        """Begin, or find, the job that has the container on other GPUs."""
        content = await self._post(f"/v1/containers/{_quoted(container)}/pin", request, key)
        return decode(self._node, content, Job)

    async def plan_apply(
        self, request: ApplyRequest, coming: Sequence[NodeImage] = ()
    ) -> DeployPlan:
        """What an apply would do, once the images `coming` are there. Nothing changes."""
        asked = PlanRequest(**msgspec.structs.asdict(request), coming=[*coming])
        return decode(self._node, await self._post("/v1/workloads/plan", asked), DeployPlan)

    async def apply(self, request: ApplyRequest, key: str) -> Job:
        """Begin, or find, the job that has these workloads run as said."""
        return decode(self._node, await self._post("/v1/workloads", request, key), Job)

    async def show(self, workload: str) -> WorkloadStatus:
        """One workload."""
        content = await self._requests.exchange(Call(target=f"/v1/workloads/{_quoted(workload)}"))
        return decode(self._node, content, WorkloadStatus)

    async def remove(self, workload: str, key: str) -> Job:
        """Begin, or find, the job that removes its containers; its volumes stay."""
        content = await self._post(f"/v1/workloads/{_quoted(workload)}/remove", key=key)
        return decode(self._node, content, Job)

    async def restart(self, workload: str, key: str) -> Job:
        """Begin, or find, the job that restarts it and sees whether it stays well."""
        content = await self._post(f"/v1/workloads/{_quoted(workload)}/restart", key=key)
        return decode(self._node, content, Job)

    async def confirm_workload(self, workload: str) -> Deployment:
        """Its newest deployment may stay; whether it does is in the answer's state."""
        content = await self._post(f"/v1/workloads/{_quoted(workload)}/confirm")
        return decode(self._node, content, Deployment)

    async def resolve(self, workload: str, request: ResolveRequest) -> Job:
        """Begin the job that leads out of a deployment that is stuck."""
        content = await self._post(f"/v1/workloads/{_quoted(workload)}/resolve", request)
        return decode(self._node, content, Job)

    async def deployment(self, deployment: str) -> Deployment:
        """One deployment with its history."""
        content = await self._requests.exchange(
            Call(target=f"/v1/deployments/{_quoted(deployment)}")
        )
        return decode(self._node, content, Deployment)

    async def arms(self, deployment: str) -> Arms:
        """What the node measured of both containers of its workloads."""
        content = await self._requests.exchange(
            Call(target=f"/v1/deployments/{_quoted(deployment)}/arms")
        )
        return decode(self._node, content, Arms)

    async def confirm(self, deployment: str) -> Deployment:
        """It may stay; whether it does is in the answer's state."""
        content = await self._post(f"/v1/deployments/{_quoted(deployment)}/confirm")
        return decode(self._node, content, Deployment)

    async def renew(self, deployment: str, *, weight: int | None = None) -> Deployment:
        """Whoever steers is still there: while it is watched, its lease begins anew.

        Args:
            weight: percent of new requests that the candidates of weighted workloads shall get;
                what they get is in the answer, soon. None: as it is.
        """
        # An agent that knows no weights takes no body.
        request = None if weight is None else RenewRequest(weight=weight)
        content = await self._post(f"/v1/deployments/{_quoted(deployment)}/renew", request)
        return decode(self._node, content, Deployment)

    async def revert(self, deployment: str) -> Job:
        """Take it back, also one that is done."""
        content = await self._post(f"/v1/deployments/{_quoted(deployment)}/revert")
        return decode(self._node, content, Job)

    async def undo(self, workload: str, deployment: str | None = None) -> Job:
        """Begin, or find, the job that takes a workload's newest deployment back.

        Args:
            deployment: the one that was looked at. Where another took its place since, nothing is
                taken back.
        """
        if deployment is None:
            deployment = (await self.show(workload)).deployment
        if deployment is None:
            raise ProblemError(
                "deployment.not_found",
                f"{workload} has no deployment that the node knows of",
                params={"workload": workload},
            )
        return await self.revert(deployment)

    async def _post(
        self, target: str, request: msgspec.Struct | None = None, key: str | None = None
    ) -> bytes:
        body = b"" if request is None else msgspec.json.encode(request)
        headers = [] if key is None else [(IDEMPOTENCY_HEADER, key)]
        call = Call(method="POST", target=target, headers=headers, body=body)
        return await self._requests.exchange(call)


def _quoted(name: str) -> str:
    return quote(name, safe="")
