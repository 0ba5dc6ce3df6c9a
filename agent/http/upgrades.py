"""`/v1/agent/upgrade`: another version of this agent, see `agent.protocol.upgrades`."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.params import JSONBody

from agent.http.bodies import exactly
from agent.http.caller import TheCaller, TheNode
from agent.http.jobs import IdempotencyKey
from agent.protocol.jobs import Job
from agent.protocol.upgrades import AgentUpgrade, ConfirmRequest, GiveUpRequest, UpgradeRequest
from agent.upgrades.upgrade_job import no_kit

PATH = "/v1/agent/upgrade"


@get(PATH, tags=["agent"])
async def get_upgrade(node: TheNode) -> AgentUpgrade:
    """Which kit runs, whether it is on trial, and what became of the last upgrade."""
    if node.upgrades.about is None:
        raise no_kit()
    return node.upgrades.about


@post(PATH, tags=["agent"], status_code=202, role="admin")
async def begin_upgrade(
    request: Request[Any, Any, Any],
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[UpgradeRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Try a kit that was sent to `/v1/uploads`. The job's end tells what came of it."""
    data = await exactly(request, data)
    caller.doing("agent.upgrade", f"agent/{data.id}", kit=data.kit)
    return await node.upgrades.begin(data, owner=caller.owner, key=idempotency_key)


@post(f"{PATH}/confirm", tags=["agent"], status_code=200, role="admin", on_trial=True)
async def confirm_upgrade(
    node: TheNode, caller: TheCaller, data: JSONBody[ConfirmRequest]
) -> AgentUpgrade:
    """Keep the agent that is on trial. Again changes nothing."""
    caller.doing("agent.confirm", f"agent/{data.id}")
    return await node.upgrades.confirm(data.id)


@post(f"{PATH}/revert", tags=["agent"], status_code=200, role="admin", on_trial=True)
async def revert_upgrade(
    node: TheNode, caller: TheCaller, data: JSONBody[GiveUpRequest]
) -> AgentUpgrade:
    """End the trial: what ran before runs again at once."""
    caller.doing("agent.revert", "agent")
    return await node.upgrades.give_up(data.why or f"{caller.owner} took it back")
