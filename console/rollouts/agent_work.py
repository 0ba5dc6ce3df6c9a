"""One question to one node of a rollout that upgrades agents.

What a release's deployment is to the others, the job `agent.upgrade` is here. The agent on trial is
confirmed as soon as it answers through the real link: it would go back within a minute. Once all of
it has started, as it says, the node is watched as any other, and going back is an upgrade to the
version that it kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from agent.protocol.deployments import ApplyRequest, DeploymentState
from agent.protocol.jobs import ENDED
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.protocol.signatures import TrustedKey
from agent.protocol.upgrades import AgentUpgrade, LastUpgrade, UpgradeRequest
from console.kits.reading import Kit, read_kit
from console.kits.sending import send_kit
from console.link.client import NodeClient
from console.rollouts.asks import Seen, Want
from console.rollouts.preparing import Bring, Preparer
from console.rollouts.record import KitFile, Rollout, RolloutNode
from console.text import size

# As kits name what images name otherwise.
ARCHES = {"amd64": "x86_64", "arm64": "aarch64"}
# What asks of a release mean nothing here: it has no workloads.
NO_WORKLOADS = ApplyRequest(release="agent", workloads=[])
# After these it may have begun all the same.
_BEGUN = ("link.", "ssh.", "node.", "store.", "job.key_reused", "upgrade.on_trial")


def kit_of(kits: Mapping[str, KitFile], facts: NodeFacts) -> KitFile:
    """The one for this node.

    Raises:
        ProblemError: `upgrade.no_kit`, `kit.none`.
    """
    if facts.agent.upgrade is None:
        raise ProblemError(
            "upgrade.no_kit",
            "its agent does not run from a kit, so that it could not go back",
            hint="Install it once from a kit: roost node install ssh://HOST",
        )
    arch = ARCHES.get(facts.host.architecture, facts.host.architecture)
    if arch not in kits:
        raise ProblemError(
            "kit.none",
            f"it is {arch}, and the kits are for {', '.join(sorted(kits))}",
            params={"arch": arch},
            hint=f"Make one: roost agent kit make --arch {arch}",
        )
    return kits[arch]


def check_kit(kit: KitFile, there: AgentUpgrade, keys: Sequence[TrustedKey]) -> None:
    """Whether a node would take it, which looks again itself. `keys` are those that it knows.

    Raises:
        ProblemError: `kit.python`, `signature.*`.
    """
    if kit.pythons and there.pythons and not {*kit.pythons} & {*there.pythons}:
        raise ProblemError(
            "kit.python",
            f"it has Python {', '.join(there.pythons)}, and kit {kit.id} is for"
            f" {', '.join(kit.pythons)}",
            params={"kit": kit.id, "pythons": there.pythons},
            hint=f"Make one for it: roost agent kit make --python {there.pythons[0]}",
        )
    if there.require_signature:
        _check_signer(kit, keys)


def _check_signer(kit: KitFile, keys: Sequence[TrustedKey]) -> None:
    state = next((each.state for each in keys if each.fingerprint == kit.signed_by), None)
    if kit.signed_by is None:
        raise ProblemError(
            "signature.missing",
            f"kit {kit.id}: nobody has signed it, and the node takes only what is"
            " (policy.require_signature)",
            params={"kit": kit.id},
            hint=f"Sign it with a key that the node trusts: roost agent kit sign {kit.path}",
        )
    if state == "revoked":
        raise ProblemError(
            "signature.revoked",
            f"kit {kit.id}: it is signed by {kit.signed_by}, which was revoked there",
            params={"kit": kit.id, "fingerprint": kit.signed_by},
            hint=f"Sign it with a key that the node trusts: roost agent kit sign {kit.path}",
        )
    if state != "trusted":
        raise ProblemError(
            "signature.unknown_key",
            f"kit {kit.id}: it is signed by {kit.signed_by}, which the node does not trust",
            params={"kit": kit.id, "fingerprint": kit.signed_by},
            hint="Ask who made it. If the key is right: roost key trust NODE FILE.pub",
        )


def bringing(kits: Mapping[str, KitFile], read: Callable[[KitFile], Awaitable[Kit]]) -> Bring:
    """What prepares a node: the kit's file on it. `read` finds it as it was planned."""

    async def bring(client: NodeClient, says: Callable[[str], None]) -> str:
        facts = await client.node()
        file = kit_of(kits, facts)
        if facts.agent.upgrade is not None and facts.agent.upgrade.kit == file.id:
            return ""
        if facts.agent.upgrade is not None:
            wants = facts.agent.upgrade.require_signature
            keys = await client.trusted_keys() if wants else []
            check_kit(file, facts.agent.upgrade, keys)
        kit = await read(file)
        says("gets the kit")
        await send_kit(
            client,
            kit,
            sent=lambda at: says(f"gets the kit: {size(at)} of {size(file.size_bytes)}"),
        )
        return f"{size(file.size_bytes)} sent"

    return bring


async def as_planned(file: KitFile) -> Kit:
    """The kit again. Raises ProblemError `kit.broken`."""
    kit = await asyncio.to_thread(read_kit, Path(file.path))
    if kit.sha256 != file.sha256:
        raise ProblemError(
            "kit.broken",
            f"{file.path} is another kit than when the rollout was planned",
            params={"file": file.path},
            hint="Put that kit back, or plan again.",
        )
    return kit


async def ask_agent(
    client: NodeClient, rollout: Rollout, node: RolloutNode, want: Want, preparer: Preparer
) -> Seen:
    """What came of it. `client` is an admin's.

    Raises:
        ProblemError: as the node said, or `link.*`, `ssh.*`.
    """
    if want.ask == "prepare":
        return await preparer.look(client, node, NO_WORKLOADS)
    facts = await client.node()
    if want.ask == "reach":
        return Seen(node=node.name, what="reached")
    kit = kit_of({each.arch: each for each in rollout.kits}, facts)
    now = facts.agent.upgrade
    if now is None:  # `kit_of` has said so
        return Seen(node=node.name, what="refused")
    if want.ask == "apply":
        return await _apply(client, rollout, node, kit, now)
    if want.ask == "revert":
        return await _revert(client, rollout, node, kit, now)
    if node.deployment is None:
        return Seen(node=node.name, what="nothing")
    if now.on_trial and now.kit == kit.id:
        if not now.confirmed:
            now = await client.upgrades.confirm(kit.id)
        if now.on_trial:
            return Seen(node=node.name, what="not_yet", why="is confirmed, and starts its jobs")
    if now.kit == kit.id:
        state: DeploymentState = "done" if want.ask == "confirm" else "canary"
        return Seen(node=node.name, what="state", state=state, boot=facts.agent.boot)
    return await _not_there(client, node, now)


async def _apply(
    client: NodeClient, rollout: Rollout, node: RolloutNode, kit: KitFile, now: AgentUpgrade
) -> Seen:
    """Begin the job, or find the one that a runner before began."""
    if now.on_trial and now.kit == kit.id and now.job is not None:
        return Seen(node=node.name, what="begun", deployment=now.job)
    if now.kit == kit.id:
        if node.tried and now.last is not None and now.last.job is not None:
            return Seen(node=node.name, what="begun", deployment=now.last.job)
        return Seen(node=node.name, what="unchanged")
    request = UpgradeRequest(kit=f"sha256:{kit.sha256}", id=kit.id)
    try:
        job = await client.upgrades.begin(request, _mark(rollout, node))
    except ProblemError as problem:
        if not problem.code.startswith(_BEGUN):
            raise
        away = problem.code.startswith(("link.", "ssh."))
        return Seen(
            node=node.name,
            what="unreached" if away else "not_yet",
            tried=True,
            why=problem.detail,
        )
    return Seen(node=node.name, what="begun", deployment=job.id)


async def _not_there(client: NodeClient, node: RolloutNode, now: AgentUpgrade) -> Seen:
    """It runs another version than it should: not yet, no more, or never."""
    last = now.last
    if last is not None and last.job == node.deployment:
        why = last.why or f"agent {now.kit} runs there, by somebody else's doing"
        return _state(node, "reverted", why)
    job = await client.job(node.deployment or "")
    if job.state not in ENDED:
        return Seen(node=node.name, what="not_yet", why=f"{job.stage or job.state}")
    why = job.problem.detail if job.problem is not None else job.reason or job.state
    return _state(node, "reverted", why)


async def _revert(
    client: NodeClient, rollout: Rollout, node: RolloutNode, kit: KitFile, now: AgentUpgrade
) -> Seen:
    """To the version before, which is tried and confirmed as every other."""
    if now.on_trial:
        if now.kit == kit.id:
            await client.upgrades.revert(f"rollout {rollout.id} goes back")
        elif not now.confirmed and now.kit == _before(kit, now.last):
            await client.upgrades.confirm(now.kit)
        return Seen(node=node.name, what="not_yet", why="goes back")
    if now.kit == kit.id:
        return await _back(client, rollout, node, kit, now)
    if node.deployment is None:
        return Seen(node=node.name, what="nothing")
    job = await client.job(node.deployment)
    if job.state not in ENDED:
        await client.cancel_job(node.deployment)
        return Seen(node=node.name, what="not_yet", why="its job is cancelled")
    return _state(node, "reverted")


async def _back(
    client: NodeClient, rollout: Rollout, node: RolloutNode, kit: KitFile, now: AgentUpgrade
) -> Seen:
    last = now.last
    if node.deployment is None and not node.tried:
        return Seen(node=node.name, what="nothing")  # it ran that before
    was = _before(kit, last)
    if last is not None and last.outcome == "returned" and was in (None, last.id):
        return _state(node, "stuck", f"it cannot go back to {last.id}: {last.why}")
    if not was:
        why = "it does not say what it ran before"
        if last is not None and last.id != kit.id:
            why = f"its last upgrade was one to {last.id}: what it ran before {kit.id} is not known"
        return _state(node, "stuck", why)
    job = await client.upgrades.begin(UpgradeRequest(id=was), f"{_mark(rollout, node)}-back")
    if job.state in ENDED and job.state != "succeeded":
        why = job.problem.detail if job.problem is not None else job.reason or job.state
        return _state(node, "stuck", f"it cannot go back to {was}: {why}")
    return Seen(node=node.name, what="not_yet", why=f"goes back to {was}")


def _before(kit: KitFile, last: LastUpgrade | None) -> str | None:
    """What it ran before the kit; None: it does not say.

    Another one may have been tried since, by whomever, and gone back; or this was the way back.
    """
    if last is not None and last.id == kit.id:
        return last.was
    if last is not None and last.outcome == "returned" and last.was == kit.id:
        return last.before
    return None


def _state(node: RolloutNode, state: DeploymentState, why: str = "") -> Seen:
    return Seen(node=node.name, what="state", state=state, why=why)


def _mark(rollout: Rollout, node: RolloutNode) -> str:
    return f"{rollout.id}.{node.attempt}-{node.name}-agent"
