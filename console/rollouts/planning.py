"""From a Compose file's workloads and what nodes say to them to a rollout that can be started."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence

import msgspec

from agent.protocol.deployments import ApplyRequest, DeployOptions
from agent.protocol.problems import ProblemError
from console.compose.compose_file import NodeWorkloads
from console.fleet.inventory import NodeEntry
from console.rollouts.cron import BadCronError
from console.rollouts.judging.analysis import Analysis
from console.rollouts.needs import NodeNeeds
from console.rollouts.record import ArchiveFile, Rollout, RolloutNode
from console.rollouts.strategy import Strategy
from console.rollouts.waves import freeze
from console.rollouts.windows import BadZoneError, Window, opening

# Of a node in fleet.yaml: where it is, whatever it says itself.
ZONE_LABEL = "timezone"


def requests_for(
    found: Sequence[NodeWorkloads], strategy: Strategy
) -> tuple[str, dict[str, ApplyRequest]]:
    """The release's version, and what each node would be asked, under the release's name with it.

    The version is of the content: what the workloads are and how it goes out. Equal files with
    equal variables have the same, on however many nodes.
    """
    digest = hashlib.sha256(msgspec.json.encode(strategy, order="deterministic"))
    contents = (msgspec.json.encode([*each.workloads], order="deterministic") for each in found)
    for content in sorted(set(contents)):
        digest.update(content)
    version = digest.hexdigest()[:12]
    return version, {
        node.node: ApplyRequest(
            release=f"{node.project}@{version[:8]}", workloads=list(node.workloads)
        )
        for node in found
    }


def with_measures(request: ApplyRequest, analysis: Analysis) -> ApplyRequest:
    """As a node is asked for its plan: it says what would be judged by and cannot be read now."""
    measures = analysis.measures_of(workload.name for workload in request.workloads)
    return msgspec.structs.replace(request, options=DeployOptions(measures=measures))


def plan_rollout(
    entries: Sequence[NodeEntry],
    answers: Mapping[str, NodeNeeds | ProblemError],
    strategy: Strategy,
    *,
    release: str,
    version: str,
    file: str,
    owner: str,
    zones: Mapping[str, str | None] | None = None,
    archives: Sequence[ArchiveFile] = (),
    fleet: str = "",
) -> Rollout:
    """Waves of the nodes that can take it; a node that does not answer keeps its turn.

    What a rollout needs of labels is in it from now on, whatever becomes of them in fleet.yaml.

    Args:
        zones: by name, where nodes say that they are; asked for only where a window needs it.

    Raises:
        ProblemError: `rollout.waves`, `rollout.window`, `fleet.selector`, `rollout.nobody`.
    """
    now = time.time()
    refused = {
        name: answer.problems[0]
        for name, answer in answers.items()
        if isinstance(answer, NodeNeeds) and answer.problems
    }
    able = [entry for entry in entries if entry.name not in refused]
    if not able:
        name, first = next(iter(refused.items()))
        raise ProblemError(
            "rollout.nobody",
            f"none of {len(entries)} nodes can take it: {name}: {first.detail}",
            hint=first.hint
            or "roost workload apply FILE --to SELECTOR --check says more of each node.",
        )
    waves = freeze(able, strategy.waves)
    where = _zones(able, zones or {}, strategy.window)
    labels = {entry.name: entry.labels for entry in able}
    addresses = {entry.name: entry.address for entry in entries}
    nodes = [
        RolloutNode(
            name=name,
            wave=number,
            since=now,
            address=addresses[name],
            zone=where.get(name),
            groups={
                per.label: labels[name][per.label]
                for per in strategy.max_unavailable_per
                if per.label in labels[name]
            },
        )
        for number, wave in enumerate(waves)
        for name in wave
    ]
    nodes += [
        RolloutNode(
            name=name,
            wave=len(waves) - 1,
            stage="cannot",
            since=now,
            address=addresses[name],
            why=problem.detail,
        )
        for name, problem in refused.items()
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
        archives=[*archives],
        fleet=fleet,
    )


def _zones(
    entries: Sequence[NodeEntry], told: Mapping[str, str | None], window: Window | None
) -> dict[str, str]:
    """Each node's zone: the window's, else that of its label, else what it says itself.

    Raises:
        ProblemError: `rollout.window`: one is not known, or this machine does not know it.
    """
    if window is None:
        return {}
    found = {
        entry.name: window.zone or entry.labels.get(ZONE_LABEL) or told.get(entry.name)
        for entry in entries
    }
    wrong = sorted(name for name, zone in found.items() if zone is None)
    why = "its time zone is not known"
    for name, zone in found.items():
        if zone is not None:
            try:
                opening(window, zone)
            except (BadCronError, BadZoneError) as error:
                wrong, why = [name], str(error)
    if wrong:
        raise ProblemError(
            "rollout.window",
            f"{', '.join(wrong[:5])}{' and others' if len(wrong) > 5 else ''}: {why}",
            params={"nodes": wrong},
            hint=f"Give the window a zone, or the node a label {ZONE_LABEL} in fleet.yaml, like"
            " Europe/Berlin.",
        )
    return {name: zone for name, zone in found.items() if zone is not None}
