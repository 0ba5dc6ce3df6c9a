"""One question of a rollout to one node."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.arms import Arms
from agent.protocol.deployments import ApplyRequest, Deployment, DeployOptions
from agent.protocol.problems import ProblemError
from console.link.client import NodeClient
from console.rollouts.agent_work import ask_agent
from console.rollouts.asks import Ask, Seen, Want
from console.rollouts.needed_engines import in_their_images
from console.rollouts.preparing import Preparer
from console.rollouts.record import Rollout, RolloutNode

# The node did not answer, or is about to be there.
_UNREACHED = ("link.", "ssh.", "auth.", "node.stopping", "node.not_ready", "fleet.address")
# It answers, and what keeps it from that may pass: its state's deadline is the limit.
_MAY_PASS = (
    *("runtime.unreachable", "store.", "deployment.under_way", "job.locked", "job.queue_full"),
    *("upload.locked", "upload.too_many", "upgrade.on_trial"),
)
# After these it may have begun: the answer was lost, or its store or its own code failed amid it.
_BEGUN = ("link.", "ssh.", "node.", "store.", "job.key_reused")


class _MaybeToldError(Exception):
    """The node was told to change, and what came of that is not known."""

    def __init__(self, problem: ProblemError) -> None:
        super().__init__(problem.detail)
        self.problem = problem


async def ask_node(
    client: NodeClient,
    rollout: Rollout,
    node: RolloutNode,
    want: Want,
    request: ApplyRequest,
    preparer: Preparer,
) -> Seen:
    """What came of it; a problem of the node's is an answer, too. Never raises ProblemError."""
    ask = want.ask
    try:
        if rollout.kits:
            return await ask_agent(client, rollout, node, want, preparer)
        if ask == "reach":
            await client.node()
            return Seen(node=node.name, what="reached")
        if ask == "prepare":
            return await preparer.look(client, node, request)
        if ask == "apply":
            return await _apply(client, rollout, node, request)
        if ask == "revert":
            return await _revert(client, rollout, node, request)
        if node.deployment is None:
            return Seen(node=node.name, what="nothing")
        if ask == "confirm":
            return _told(node, await client.workloads.confirm(node.deployment))
        if ask == "arms":
            arms = await client.workloads.arms(node.deployment)
            return Seen(node=node.name, what="arms", arms=arms)
        if ask == "renew":
            return _told(node, await client.workloads.renew(node.deployment, weight=want.weight))
        return _told(node, await client.workloads.deployment(node.deployment))
    except ProblemError as problem:
        return _of_problem(node, ask, problem)
    except _MaybeToldError as error:
        away = error.problem.code.startswith(_UNREACHED)
        what: Literal["unreached", "not_yet"] = "unreached" if away else "not_yet"
        return Seen(node=node.name, what=what, tried=True, why=error.problem.detail)


def _of_problem(node: RolloutNode, ask: Ask, problem: ProblemError) -> Seen:
    if ask == "arms" and not problem.code.startswith(_UNREACHED):
        arms = Arms(deployment=node.deployment or "", unknown=problem.detail)
        return Seen(node=node.name, what="arms", arms=arms)
    # A node that took it is not given up for a refusal, which may pass.
    if ask not in ("prepare", "apply") or problem.code.startswith(_UNREACHED):
        return Seen(node=node.name, what="unreached", why=problem.detail)
    return _refused(node, problem.code, problem.detail)


def _refused(node: RolloutNode, code: str, why: str) -> Seen:
    """Nothing will be changed; or not yet. A node that may have been told has not refused."""
    if node.tried or code.startswith(_MAY_PASS):
        return Seen(node=node.name, what="not_yet", why=why)
    return Seen(node=node.name, what="refused", why=why)


def request_of(request: ApplyRequest, rollout: Rollout, node: RolloutNode) -> ApplyRequest:
    """As the node gets it: it waits for this side, and goes back by itself without."""
    analysis = rollout.strategy.analysis
    names = {workload.name for workload in request.workloads}
    options = DeployOptions(
        confirm="manual",
        confirm_within=rollout.strategy.confirm_within,
        steered_by=_mark(rollout, node),
        measures=analysis.measures_of(names),
        replays={name: given for name, given in analysis.replays.items() if name in names},
    )
    return msgspec.structs.replace(request, options=options)


async def _apply(
    client: NodeClient, rollout: Rollout, node: RolloutNode, request: ApplyRequest
) -> Seen:
    """What was begun before, by a runner that did not hear of it, is found and not begun again."""
    asked = request_of(request, rollout, node)
    found = await _find(client, asked)
    if found is None:
        plan = await client.workloads.plan_apply(asked)
        fitting = in_their_images(asked, plan)
        if fitting != asked:
            asked, plan = fitting, await client.workloads.plan_apply(fitting)
        if plan.problems:
            return _refused(node, plan.problems[0].code, plan.problems[0].detail)
        if all(each.action == "keep" for each in plan.workloads):
            return Seen(node=node.name, what="unchanged")
        await _tell(client, asked, f"{_mark(rollout, node)}-{node.name}")
        try:
            found = await _find(client, asked)
        except ProblemError as problem:
            raise _MaybeToldError(problem) from problem
    if found is None:
        why = "it does not tell of the deployment yet"
        return Seen(node=node.name, what="not_yet", tried=True, why=why)
    return Seen(node=node.name, what="begun", deployment=found.id)


async def _tell(client: NodeClient, asked: ApplyRequest, key: str) -> None:
    """Only the node's own refusal, made before it began, says that nothing was changed."""
    try:
        await client.workloads.apply(asked, key)
    except ProblemError as problem:
        if problem.code.startswith(_BEGUN):
            raise _MaybeToldError(problem) from problem
        raise


async def _revert(
    client: NodeClient, rollout: Rollout, node: RolloutNode, request: ApplyRequest
) -> Seen:
    deployment = node.deployment
    if deployment is None:
        found = await _find(client, request_of(request, rollout, node))
        if found is None:
            return Seen(node=node.name, what="nothing")
        deployment = found.id
    now = await client.workloads.deployment(deployment)
    if now.state in ("reverting", "reverted", "stuck"):
        return _told(node, now)
    try:
        await client.workloads.revert(deployment)
    except ProblemError as problem:
        if problem.code == "deployment.reverted":  # in between
            return _told(node, await client.workloads.deployment(deployment))
        if problem.code != "deployment.superseded":
            raise
        return Seen(node=node.name, what="left", why=problem.detail)
    # It goes back from now on, and how far it is is asked again.
    return Seen(node=node.name, what="state", state="reverting", weight=now.weight)


async def _find(client: NodeClient, asked: ApplyRequest) -> Deployment | None:
    """The deployment that this very request has begun."""
    names = {workload.name for workload in asked.workloads}
    newest = {
        each.deployment
        for each in await client.workloads.list()
        if each.name in names and each.deployment is not None
    }
    for deployment in sorted(newest):
        found = await client.workloads.deployment(deployment)
        if found.options.steered_by == asked.options.steered_by:
            return found
    return None


def _told(node: RolloutNode, deployment: Deployment) -> Seen:
    problem = deployment.problem
    return Seen(
        node=node.name,
        what="state",
        state=deployment.state,
        weight=deployment.weight,
        why="" if problem is None else problem.detail,
    )


def _mark(rollout: Rollout, node: RolloutNode) -> str:
    return f"{rollout.id}.{node.attempt}"
