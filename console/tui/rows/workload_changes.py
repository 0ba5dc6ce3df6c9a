"""What would become of a workload, in words, before anybody says yes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from agent.protocol.deployments import Deployment, WorkloadStatus
from console.fleet.picture import NodeView
from console.fleet.plan_words import goes_back_in
from console.tui.look import words
from console.tui.moments import moment
from console.tui.rows.containers import gpu_indices
from console.tui.rows.places import KEPT
from console.tui.widgets.page import BLANK, Entry

Way = Literal["keep-old", "keep-new", "retry"]

_SHORT_ID = 12


# The ways out of `stuck`.
WAYS: dict[Way, str] = {
    "keep-old": "the container before, runs it or not",
    "keep-new": "the new container, is it well or not",
    "retry": "try again what was tried",
}


def undo_entries(status: WorkloadStatus, deployment: Deployment, view: NodeView) -> list[Entry]:
    """What an undo would do."""
    if any(each.stays for each in deployment.workloads if each.name == status.name):
        return [
            Entry("undoes  ", _reached(deployment, view)),
            _now(status, view),
            BLANK,
            Entry("  1. ", "write down again what was written down of it before"),
            Entry("  ", "its container is not touched"),
            *_others(status, deployment, "goes back too"),
        ]
    old = _old(status, deployment)
    entries = [
        Entry("undoes  ", _reached(deployment, view)),
        _now(status, view),
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
    return [*entries, *_others(status, deployment, "goes back too")]


def restart_entries(status: WorkloadStatus, view: NodeView) -> list[Entry]:
    """What a restart would do."""
    return [
        _now(status, view),
        BLANK,
        Entry("  1. ", "stop its container, and start the same one again"),
        Entry("  2. ", "wait until it is well, and look from inside whether it sees its GPUs"),
        Entry("  3. ", "watch whether it stays well"),
        Entry("  ", "it is down from its stop until it is up, and has the secrets of then"),
        Entry("  ", "if it is not well then, nothing goes back by itself"),
    ]


def remove_entries(status: WorkloadStatus, view: NodeView) -> list[Entry]:
    """What a removal would do."""
    entries = [
        _now(status, view),
        BLANK,
        Entry("  1. ", "stop and remove its container; what was written inside it is lost"),
    ]
    if status.can_undo:
        entries.append(Entry("  2. ", "remove the one before, which is kept: no undo any more"))
    return [*entries, Entry("  ", "its volumes, its image and its secrets stay")]


def confirm_entries(status: WorkloadStatus, deployment: Deployment, view: NodeView) -> list[Entry]:
    """What becomes of a deployment that may stay."""
    part = next((each for each in deployment.workloads if each.name == status.name), None)
    now = {each.id: str(each.state) for each in view.containers()}
    entries = [Entry("stays   ", _reached(deployment, view))]
    if part is not None and part.new is not None:
        gpus = gpu_indices(part.gpus, view) or "none"
        entries.append(Entry("now     ", f"{now.get(part.new, words.UNKNOWN)}, GPUs {gpus}"))
    left = goes_back_in(deployment)
    if deployment.options.confirm == "auto":
        entries.append(Entry("else    ", "it stays by itself, once it was well for long enough"))
    elif left is not None:
        entries.append(Entry("else    ", f"it goes back by itself in {words.age(left)}", "warn"))
    else:
        within = words.age(deployment.options.confirm_within)
        entries.append(Entry("else    ", f"it goes back by itself, {within} after it runs", "warn"))
    entries.append(Entry("then    ", "it is done once it was well for long enough"))
    if _old(status, deployment) is not None:
        entries.append(Entry("        ", "the container before is kept for an undo"))
    return [*entries, *_others(status, deployment, "stays too")]


def resolve_entries(
    way: Way, status: WorkloadStatus, deployment: Deployment, view: NodeView
) -> list[Entry]:
    """What a way out of `stuck` would do."""
    old = _old(status, deployment)
    entries = [
        Entry("stuck   ", _reached(deployment, view)),
        _now(status, view),
        Entry("before  ", _before(old, status.name, view)),
        BLANK,
        *(Entry(f"  {n}. ", step) for n, step in enumerate(_steps(way, has_old=bool(old)), 1)),
    ]
    return [*entries, *_others(status, deployment, "so is done with")]


def _steps(way: Way, *, has_old: bool) -> Iterator[str]:
    if way == "keep-old":
        yield "stop the new container"
        if has_old:
            yield "give the old one its name back, and start it; if it is gone it is made again"
        yield "remove the new container; what was written inside it is lost"
        return
    yield "make the new container again, if it is not there"
    if way == "keep-new":
        if has_old:
            yield "stop the old one, and keep it for an undo"
        yield "start the new one; nobody looks whether it is well or sees its GPUs"
    else:
        yield "start it as before, wait until it is well and sees its GPUs, and watch it"
        yield "if any of this fails: go back, as before"


def _now(status: WorkloadStatus, view: NodeView) -> Entry:
    return Entry("now     ", f"{status.state}, GPUs {gpu_indices(status.gpus, view) or 'none'}")


def _old(status: WorkloadStatus, deployment: Deployment) -> str | None:
    """The container before."""
    return next((part.old for part in deployment.workloads if part.name == status.name), None)


def _others(status: WorkloadStatus, deployment: Deployment, what: str) -> list[Entry]:
    """A deployment's workloads go one way, all of them."""
    others = [part.name for part in deployment.workloads if part.name != status.name]
    return [Entry("  note: ", f"{what}: {', '.join(others)}", "warn")] if others else []


def _reached(deployment: Deployment, view: NodeView) -> str:
    at = deployment.history[-1].at if deployment.history else deployment.created_at
    since = moment(at - (view.clock_offset_seconds or 0.0))
    return f"{deployment.release}, {deployment.state} since {since}"


def _before(old: str | None, name: str, view: NodeView) -> str:
    """The container that would run again, as far as the picture has it."""
    if old is None:
        return "nothing: there was no such container before"
    for container in view.containers():
        if container.id == old:
            gpus = gpu_indices(container.gpus, view) or "none"
            where = f"kept as {container.name}" if container.name != name else container.state
            return f"the container before, {where}, GPUs {gpus}"
    near = [each.name for each in view.containers() if each.name.startswith(f"{name}{KEPT}")]
    kept = f" (kept as {near[0]})" if near else ""
    return f"the container before, {old[:_SHORT_ID]}{kept}"
