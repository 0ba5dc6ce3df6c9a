"""`/v1/workloads`, `/v1/deployments`, and pins of containers."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.params import JSONBody, PathParameter

from agent.http.bodies import exactly
from agent.http.caller import TheCaller, TheNode
from agent.http.containers import Name
from agent.http.jobs import IdempotencyKey
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
from agent.protocol.jobs import Job
from agent.protocol.plan_request import PlanRequest

# 64 workloads with large environments.
REQUEST_LIMIT_BYTES = 4 * 1024 * 1024

DeploymentName = Annotated[str, PathParameter(min_length=1, max_length=64)]


@get("/v1/workloads", tags=["workloads"])
async def list_workloads(node: TheNode) -> list[WorkloadStatus]:
    """The workloads that Roost placed here."""
    return await node.workloads.list()


@post(
    "/v1/workloads/plan",
    tags=["workloads"],
    status_code=200,
    continues=True,  # it changes nothing
    request_max_body_size=REQUEST_LIMIT_BYTES,
)
async def plan_workloads(
    request: Request[Any, Any, Any], node: TheNode, data: JSONBody[PlanRequest]
) -> DeployPlan:
    """What an apply would do. Nothing changes."""
    asked = await exactly(request, data)
    plan = await node.workloads.plan_apply(asked)
    return await node.measuring.warned(plan, asked.options.measures)


@post(
    "/v1/workloads",
    tags=["workloads"],
    status_code=202,
    role="operator",
    request_max_body_size=REQUEST_LIMIT_BYTES,
)
async def apply_workloads(
    request: Request[Any, Any, Any],
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[ApplyRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Have these workloads run as said; others stay. What ran before comes back if it fails."""
    caller.doing("workload.apply", f"release/{data.release}")
    data = await exactly(request, data)
    return await node.workloads.apply(data, owner=caller.owner, key=idempotency_key)


@get("/v1/workloads/{name:str}", tags=["workloads"])
async def show_workload(node: TheNode, name: Name) -> WorkloadStatus:
    """One workload."""
    return await node.workloads.show(name)


@post("/v1/workloads/{name:str}/remove", tags=["workloads"], status_code=202, role="operator")
async def remove_workload(
    node: TheNode, caller: TheCaller, name: Name, idempotency_key: IdempotencyKey = None
) -> Job:
    """Stop and remove its containers, the kept one too; its volumes stay."""
    caller.doing("workload.remove", f"workload/{name}")
    return await node.workloads.remove(name, owner=caller.owner, key=idempotency_key)


@post("/v1/workloads/{name:str}/restart", tags=["workloads"], status_code=202, role="operator")
async def restart_workload(
    node: TheNode, caller: TheCaller, name: Name, idempotency_key: IdempotencyKey = None
) -> Job:
    """Restart its container, and see whether it stays well."""
    caller.doing("workload.restart", f"workload/{name}")
    return await node.workloads.restart(name, owner=caller.owner, key=idempotency_key)


@post("/v1/workloads/{name:str}/confirm", tags=["workloads"], status_code=200, role="operator")
async def confirm_workload(node: TheNode, caller: TheCaller, name: Name) -> Deployment:
    """Its newest deployment may stay. One that was taken back may have left no workload."""
    caller.doing("workload.confirm", f"workload/{name}")
    return await node.workloads.confirm(name)


@post("/v1/workloads/{name:str}/resolve", tags=["workloads"], status_code=202, role="operator")
async def resolve_workload(
    node: TheNode, caller: TheCaller, name: Name, data: JSONBody[ResolveRequest]
) -> Job:
    """The way out of a deployment that is stuck."""
    caller.doing("workload.resolve", f"workload/{name}", how=data.how)
    return await node.workloads.resolve(name, data, by=caller.owner)


@post(
    "/v1/containers/{name:str}/pin/plan",
    tags=["workloads"],
    status_code=200,
    continues=True,  # it changes nothing
)
async def plan_pin(
    request: Request[Any, Any, Any], node: TheNode, name: Name, data: JSONBody[PinRequest]
) -> DeployPlan:
    """What a pin would do. Nothing changes."""
    return await node.workloads.plan_pin(name, await exactly(request, data))


@post("/v1/containers/{name:str}/pin", tags=["workloads"], status_code=202, role="operator")
async def pin_container(
    request: Request[Any, Any, Any],
    node: TheNode,
    caller: TheCaller,
    name: Name,
    data: JSONBody[PinRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """The same container again, on other GPUs; the one before comes back if that fails."""
    caller.doing("container.pin", f"container/{name}", gpu=data.gpu.select)
    data = await exactly(request, data)
    return await node.workloads.pin(name, data, owner=caller.owner, key=idempotency_key)


@get("/v1/deployments/{deployment:str}", tags=["workloads"])
async def show_deployment(node: TheNode, deployment: DeploymentName) -> Deployment:
    """One deployment with its history."""
    return await node.workloads.deployment(deployment)


@get("/v1/deployments/{deployment:str}/arms", tags=["workloads"])
async def show_arms(node: TheNode, deployment: DeploymentName) -> Arms:
    """What was measured of its workloads' stable and candidate containers while it soaks."""
    return await node.measuring.arms(deployment)


@post(
    "/v1/deployments/{deployment:str}/confirm",
    tags=["workloads"],
    status_code=200,
    role="operator",
)
async def confirm_deployment(
    node: TheNode, caller: TheCaller, deployment: DeploymentName
) -> Deployment:
    """It may stay. Asked again, it answers what has become of it."""
    caller.doing("deployment.confirm", f"deployment/{deployment}")
    return await node.workloads.deployments.confirm(deployment)


@post(
    "/v1/deployments/{deployment:str}/renew", tags=["workloads"], status_code=200, role="operator"
)
async def renew_deployment(
    request: Request[Any, Any, Any],
    node: TheNode,
    caller: TheCaller,
    deployment: DeploymentName,
    data: JSONBody[RenewRequest | None] = None,
) -> Deployment:
    """Whoever steers is still there: the lease begins anew. And how much the candidate gets."""
    weight = None if data is None else (await exactly(request, data)).weight
    caller.doing("deployment.renew", f"deployment/{deployment}", weight=weight)
    return await node.workloads.deployments.renew(deployment, weight=weight)


@post(
    "/v1/deployments/{deployment:str}/revert", tags=["workloads"], status_code=202, role="operator"
)
async def revert_deployment(node: TheNode, caller: TheCaller, deployment: DeploymentName) -> Job:
    """Take it back, also one that is done: what ran before runs again. It waits for nobody.

    Only the newest deployment of a workload can be taken back.
    """
    caller.doing("deployment.revert", f"deployment/{deployment}")
    return await node.workloads.deployments.revert(
        deployment, by=caller.owner, why=f"{caller.owner} took it back"
    )
