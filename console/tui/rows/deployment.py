"""Plans and deployments as lines to read."""

from __future__ import annotations

import time

from agent.protocol.deployments import (
    DeployedWorkload,
    Deployment,
    DeployPlan,
    GpuChecked,
    WorkloadStatus,
)
from console.fleet.picture import NodeView
from console.fleet.plan_words import PlanPart, plan_lines
from console.tui.look import words
from console.tui.rows.containers import gpu_indices
from console.tui.rows.places import KEPT
from console.tui.rows.workloads import DEPLOYMENT_TONES, differences
from console.tui.widgets.page import BLANK, Entry

_TONES: dict[PlanPart, str] = {
    "workload": "accent",
    "note": "warn",
    "lost": "bad",
    "problem": "bad",
    "hint": "accent",
}
_ORDER: tuple[PlanPart, ...] = (*("workload", "problem", "hint", "lost", "note", "change", "step"),)
_LABEL = 10
_SHORT_ID = 12
# What the node says of a check names the way by itself where it is not here.
_CHECKED: dict[GpuChecked, str] = {
    "not_asked": "not yet",
    "namespaces": "by its device nodes and its environment",
    "could_not_tell": "could not be told from inside",
}


def plan_entries(plan: DeployPlan) -> list[Entry]:
    """What would happen, in words; what is wrong and what is lost stands first: the end may be
    out of sight."""
    entries = []
    for workload in plan.workloads:
        lines = plan_lines(DeployPlan(release=plan.release, workloads=[workload]))
        for line in sorted(lines, key=lambda line: _ORDER.index(line.part)):
            tone = _TONES.get(line.part)
            entries.append(Entry(line.label, line.text, tone or "", tone or "dim"))
    return entries


def deployment_entries(
    status: WorkloadStatus, deployment: Deployment, view: NodeView
) -> list[Entry]:
    """What became of a workload's newest deployment: where it is, its GPUs, and its history."""
    offset = view.clock_offset_seconds or 0.0
    tone = DEPLOYMENT_TONES.get(deployment.state, "accent")
    entries = [
        _entry("release", deployment.release, "accent"),
        _entry("state", deployment.state, tone),
    ]
    if deployment.lease_seconds_left is not None:
        left = words.age(deployment.lease_seconds_left)
        entries.append(_entry("lease", f"reverts by itself in {left} unless confirmed", "warn"))
    if deployment.problem is not None:
        entries.append(_entry("problem", deployment.problem.detail, "bad"))
        if deployment.problem.hint:
            entries.append(_entry("do", deployment.problem.hint, "accent"))
    for part in deployment.workloads:
        if part.name == status.name:
            gpus = gpu_indices(part.gpus, view) or "none"
            entries += [
                _entry("GPUs", f"{gpus} ({part.gpu_way})" if part.gpus else gpus),
                _entry("checked", checked_words(part)),
                *(_entry("LOST", lost, "bad") for lost in part.lost),
            ]
    entries += [_entry("differs", each, "warn") for each in differences(view, status)]
    if status.drift_unknown:
        entries.append(_entry("differs", f"nobody can tell: {status.drift_unknown}", "warn"))
    if status.by_itself:
        entries.append(_entry("by itself", status.by_itself))
    undo = "yes: u" if status.can_undo else "no: nothing is kept that could come back"
    entries += [_entry("undo", undo), _entry("by", deployment.owner), BLANK]
    for change in deployment.history:
        text = words.join([change.state, f"by {change.by}", change.why])
        entries.append(Entry(f" {_moment(change.at - offset)}  ", text))
    return entries


def checked_words(part: DeployedWorkload) -> str:
    """How it was found out whether it sees its GPUs, and what was seen."""
    if not part.gpus:
        return "it has no GPU"
    said = words.join([_CHECKED.get(part.gpu_checked, ""), part.gpu_check], ": ")
    return said or part.gpu_checked


def undo_entries(status: WorkloadStatus, deployment: Deployment, view: NodeView) -> list[Entry]:
    """What an undo would do, in words."""
    mine = [part for part in deployment.workloads if part.name == status.name]
    others = [part.name for part in deployment.workloads if part.name != status.name]
    old = mine[0].old if mine else None
    now = gpu_indices(status.gpus, view) or "none"
    entries = [
        Entry("undoes  ", f"{deployment.release}, {deployment.state} {_since(deployment, view)}"),
        Entry("now     ", f"{status.state}, GPUs {now}"),
        Entry("then    ", _before(old, status.name, view)),
        BLANK,
        Entry("  1. ", "stop the new container"),
    ]
    if old is not None:
        entries += [
            Entry("  2. ", f"give the old one its name {status.name} back, and start it"),
            Entry("  3. ", "remove the new container; what was written inside it is lost"),
            Entry("  ", "it is down from the stop of the new one until the old one is up"),
        ]
    else:
        entries.append(Entry("  2. ", "remove it: there was none before"))
    if others:
        entries.append(Entry("  note: ", f"goes back too: {', '.join(others)}", "warn"))
    return entries


def _since(deployment: Deployment, view: NodeView) -> str:
    at = deployment.history[-1].at if deployment.history else deployment.created_at
    return f"since {_moment(at - (view.clock_offset_seconds or 0.0))}"


def _before(old: str | None, name: str, view: NodeView) -> str:
    """The container that would run again, as far as the picture has it."""
    if old is None:
        return "nothing: there was no such container before"
    for container in view.containers():
        if container.id == old:
            gpus = gpu_indices(container.gpus, view) or "none"
            return f"the container before, kept as {container.name}, GPUs {gpus}"
    near = [each.name for each in view.containers() if each.name.startswith(f"{name}{KEPT}")]
    kept = f" (kept as {near[0]})" if near else ""
    return f"the container before, {old[:_SHORT_ID]}{kept}"


def _entry(label: str, text: str, tone: str = "") -> Entry:
    return Entry(f" {label:<{_LABEL}}", text, tone)


def _moment(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"
