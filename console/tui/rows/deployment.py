"""Plans and deployments as lines to read."""

from __future__ import annotations

from agent.protocol.deployments import (
    DeployedWorkload,
    Deployment,
    DeployPlan,
    GpuChecked,
    WorkloadStatus,
)
from console.fleet.picture import NodeView
from console.fleet.plan_words import PlanPart, goes_back_in, plan_lines, undo_words
from console.tui.look import words
from console.tui.moments import moment
from console.tui.rows.containers import gpu_indices
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
    status: WorkloadStatus, deployment: Deployment | None, view: NodeView
) -> list[Entry]:
    """A workload as it is, and what became of its newest deployment; what happened last comes
    first."""
    entries = [_entry("release", status.release or words.UNKNOWN, "accent")]
    if deployment is not None:
        entries += _how_far(status, deployment)
    gpus = gpu_indices(status.gpus, view) or "none"
    memory = f", {words.size(status.memory_bytes)} reserved on each" if status.memory_bytes else ""
    entries += [
        _entry("container", _container(status.container, status.state)),
        _entry("GPUs", f"{gpus} ({status.gpu_way}){memory}" if status.gpus else gpus),
    ]
    parts = [] if deployment is None else deployment.workloads
    for part in parts:
        if part.name == status.name:
            if part.new not in (None, status.container):
                now = {each.id: str(each.state) for each in view.containers()}
                entries.append(_entry("new", _container(part.new, now.get(part.new or "", "gone"))))
            entries.append(_entry("checked", checked_words(part)))
            entries += [_entry("LOST", lost, "bad") for lost in part.lost]
    entries += [_entry("differs", each, "warn") for each in differences(view, status)]
    if status.drift_unknown:
        entries.append(_entry("differs", f"nobody can tell: {status.drift_unknown}", "warn"))
    if status.by_itself:
        entries.append(_entry("by itself", status.by_itself))
    entries.append(_entry("undo", undo_words(status.name, deployment, can_undo=status.can_undo)))
    if deployment is None:
        return entries
    entries += [
        _entry("by", f"{deployment.owner}, as deployment {deployment.id}"),
        _entry("job", deployment.job or words.UNKNOWN),
        BLANK,
    ]
    offset = view.clock_offset_seconds or 0.0
    for change in reversed(deployment.history):
        text = words.join([change.state, f"by {change.by}", change.why])
        entries.append(Entry(f" {moment(change.at - offset)}  ", text))
    return entries


def _how_far(status: WorkloadStatus, deployment: Deployment) -> list[Entry]:
    """Where it is, why, and what a person can do."""
    state, left = deployment.state, goes_back_in(deployment)
    confirmed = "confirmed" if deployment.confirmed and state == "canary" else ""
    other = deployment.release if deployment.release != status.release else ""
    tone = DEPLOYMENT_TONES.get(state, "accent")
    entries = [_entry("state", words.join([state, confirmed, other]), tone)]
    if left is not None:
        text = f"reverts by itself in {words.age(left)} unless confirmed"
        entries.append(_entry("lease", text, "warn"))
    if deployment.problem is not None:
        problem = deployment.problem
        entries.append(_entry("problem", f"{problem.detail} ({problem.code})", "bad"))
        if problem.hint:
            entries.append(_entry("do", problem.hint, "accent"))
    return entries


def _container(container: str | None, state: str) -> str:
    return words.join([state, (container or "")[:_SHORT_ID]])


def checked_words(part: DeployedWorkload) -> str:
    """How it was found out whether it sees its GPUs, and what was seen."""
    if not part.gpus:
        return "it has no GPU"
    said = words.join([_CHECKED.get(part.gpu_checked, ""), part.gpu_check], ": ")
    return said or part.gpu_checked


def _entry(label: str, text: str, tone: str = "") -> Entry:
    return Entry(f" {label:<{_LABEL}}", text, tone)
