"""From a Compose file's workloads and what nodes say to them to a rollout that can be started."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence

import msgspec

from agent.protocol.deployments import ApplyRequest, DeployPlan
from agent.protocol.problems import ProblemError
from console.compose.compose_file import NodeWorkloads
from console.fleet.inventory import NodeEntry
from console.rollouts.record import Rollout, RolloutNode
from console.rollouts.strategy import Strategy
from console.rollouts.waves import freeze


def requests_for(found: Sequence[NodeWorkloads]) -> tuple[str, dict[str, ApplyRequest]]:
    """The release's version, and what each node would be asked, under the release's name with it.

    The version is of the content: equal files with equal variables have the same.
    """
    digest = hashlib.sha256()
    for node in sorted(found, key=lambda each: each.node):
        digest.update(msgspec.json.encode(list(node.workloads), order="deterministic"))
    version = digest.hexdigest()[:12]
    return version, {
        node.node: ApplyRequest(
            release=f"{node.project}@{version[:8]}", workloads=list(node.workloads)
        )
        for node in found
    }


def plan_rollout(
    entries: Sequence[NodeEntry],
    answers: Mapping[str, DeployPlan | ProblemError],
    strategy: Strategy,
    *,
    release: str,
    version: str,
    file: str,
    owner: str,
) -> Rollout:
    """Waves of the nodes that can take it; a node that does not answer keeps its turn.

    Raises:
        ProblemError: `rollout.waves`, `fleet.selector`, `rollout.nobody`.
    """
    now = time.time()
    refused = {
        name: answer.problems[0].detail
        for name, answer in answers.items()
        if isinstance(answer, DeployPlan) and answer.problems
    }
    able = [entry for entry in entries if entry.name not in refused]
    if not able:
        name, why = next(iter(refused.items()))
        raise ProblemError(
            "rollout.nobody",
            f"none of {len(entries)} nodes can take it: {name}: {why}",
            hint="roost workload apply FILE --to SELECTOR --check says more of each node.",
        )
    waves = freeze(able, strategy.waves)
    nodes = [
        RolloutNode(name=name, wave=number, since=now)
        for number, wave in enumerate(waves)
        for name in wave
    ]
    nodes += [
        RolloutNode(name=name, wave=len(waves) - 1, stage="cannot", since=now, why=why)
        for name, why in refused.items()
    ]
    return Rollout(
        id=secrets.token_hex(4),
        release=release,
        version=version,
        file=file,
        owner=owner,
        created_at=now,
        since=now,
        strategy=strategy,
        nodes=nodes,
    )
