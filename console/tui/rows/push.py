"""A node that is pushed to as a row, and what a push would do there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agent.protocol.images import Freeable, LoadPlan
from agent.protocol.problems import Problem
from console.text import age, plural
from console.tui.look import words
from console.tui.pushing import NodePush
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.images import short
from console.tui.widgets.page import Entry

if TYPE_CHECKING:
    from console.images.push import PushState

COLUMNS = (
    Column("node", "NODE", (12, 14, 20, 24), grow=10),
    Column("stage", "STAGE", (10, 10, 12, 12)),
    Column("done", "DONE", (4, 4, 13, 14), "right", largest_first=True),
    Column("rate", "RATE", (6, 7, 8, 8), "right", largest_first=True),
    Column("left", "LEFT", (4, 4, 5, 5), "right"),
    Column("sent", "SENT", (0, 0, 12, 12), "right", largest_first=True),
    Column("way", "WAY", (0, 0, 9, 16), grow=8),
    Column("result", "RESULT", (17, 32, 30, 52), grow=100),
    Column("file", "ARCHIVE", (0, 0, 0, 24), grow=20),
)

_STAGES = {"connecting": 2, "planning": 3, "sending": 0, "waiting": 1, "failed": 5, "done": 6}
# What the node does with layers that it has, as its job names it.
_NODE_STAGES = frozenset({"loading", "verifying", "tagging"})


def push_row(push: NodePush, *, production: bool) -> Row:
    """A row's key is the node."""
    state = push.state
    stage, tone = _stage(push)
    sending = push.going_on and state.stage == "sending"
    cells = (
        Cell(push.node, sort=push.node, tag="PROD" if production else ""),
        Cell(stage, tone, sort=4 if push.held_back else _STAGES[state.stage]),
        _done(state),
        Cell(f"{words.size(state.bytes_per_second)}/s" if sending else ""),
        Cell(age(state.seconds_left) if sending and state.seconds_left is not None else ""),
        _sent(push),
        Cell(push.account.way if push.terms.via_site else "", "dim"),
        _result(push),
        Cell(push.file, "dim"),
    )
    return make_row(push.node, push.node, cells)


def _stage(push: NodePush) -> tuple[str, str]:
    state = push.state
    if push.held_back:
        return "stopped", "warn"
    if state.ended:
        return state.stage, "good" if state.stage == "done" else "bad"
    if not push.begun:
        return "queued", ""
    job = state.job
    if state.stage == "waiting" and job is not None and job.stage in _NODE_STAGES:
        return job.stage or state.stage, "accent"
    return state.stage, "accent"


def _done(state: PushState) -> Cell:
    if not state.total_bytes:
        return Cell("")
    text = f"{100 * state.done_bytes // state.total_bytes}%"
    wide = f"{text} of {words.size(state.total_bytes)}"
    return Cell(text, sort=state.done_bytes / state.total_bytes, wide=wide)


def _sent(push: NodePush) -> Cell:
    """Over the link, encoded: by this console, also for others of its site."""
    sent, budget = push.account.sent_bytes, push.terms.budget_bytes
    text = words.size(sent)
    return Cell(text, sort=sent, wide=None if budget is None else f"{text} of {words.size(budget)}")


def _result(push: NodePush) -> Cell:
    state = push.state
    if push.stopped:
        job = f"; its job {state.job.id} waits" if state.job is not None else ""
        return Cell(f"not all was sent{job}", "warn")
    if state.problem is not None:
        return Cell(state.problem.detail, "warn" if push.held_back else "bad")
    if state.stage == "done":
        what = ", ".join(f"{tag} {short(name)}" for tag, name in state.images.items())
        if state.job is None:
            return Cell(f"had it already: {what}")
        gone = [] if state.plan is None else images_in_the_way(state.plan)
        return Cell(f"{what}; removed {plural(len(gone), 'image')} for it" if gone else what)
    if state.trouble is not None:
        return Cell(f"trying again: {state.trouble}", "warn")
    waits = state.note or (state.job.reason if state.job is not None else None)
    return Cell(waits or "", "dim")


def plan_entries(plans: Mapping[str, LoadPlan | Problem]) -> list[Entry]:
    """What a push would do on each node, and what stands in the way there."""
    width = max(map(len, plans), default=0)
    entries: list[Entry] = []
    for name, plan in sorted(plans.items()):
        label = f"{name:<{width}} "
        if isinstance(plan, Problem):
            entries.append(Entry(label, f"left out: {plan.detail}", "bad", ""))
            continue
        word, tone = plan_words(plan)
        entries.append(Entry(label, words.join([word, *_needs(plan)]), tone, ""))
        for problem in plan.problems:
            entries.append(Entry("  ", problem.detail, "bad"))
            if problem.hint:
                entries.append(Entry("  do ", problem.hint, "", "accent"))
        entries += _freed(plan)
    return entries


def plan_words(plan: LoadPlan) -> tuple[str, str]:
    """What it comes to, and its tone."""
    if plan.problems:
        return "left out, it would be refused", "bad"
    if plan.is_there:
        return "has it already", "dim"
    if not plan.wanted:
        return "nothing to send", ""
    return f"send {words.size(to_send(plan))}", ""


def to_send(plan: LoadPlan) -> int:
    """Bytes before compression."""
    return sum(max(0, layer.size_bytes - layer.received_bytes) for layer in plan.wanted)


def _needs(plan: LoadPlan) -> Sequence[str]:
    """Of the disk that has the least to spare; and which names move."""
    parts = []
    tight = min(plan.space, key=lambda need: need.free_bytes - need.needed_bytes, default=None)
    if tight is not None and not plan.is_there:
        free = words.size(tight.free_bytes)
        parts.append(f"needs {words.size(tight.needed_bytes)} of {free} free")
    parts += [f"takes {tag} from another" for image in plan.images for tag in image.replaces]
    parts += [f"replaces {each.file.title}" for each in plan.files if each.replaces]
    return parts


def images_in_the_way(plan: LoadPlan) -> list[Freeable]:
    """What would be removed to make room, but only once somebody has said so."""
    return [item for item in plan.frees if item.kind == "image"]


def room_words(plans: Mapping[str, LoadPlan]) -> str | None:
    """What a switch for it stands for; None: there is room without."""
    found = {name: images for name, plan in plans.items() if (images := images_in_the_way(plan))}
    if not found:
        return None
    every = [item for images in found.values() for item in images]
    total = words.size(sum(item.size_bytes for item in every))
    where = next(iter(found)) if len(found) == 1 else plural(len(found), "node")
    return f"remove {plural(len(every), 'image')} ({total}) on {where}"


def _freed(plan: LoadPlan) -> list[Entry]:
    entries = [
        Entry("  ", f"to make room: image {item.name} ({words.size(item.size_bytes)})", "warn")
        for item in images_in_the_way(plan)
    ]
    for kind, what in (("upload", "partly sent layer"), ("blob", "kept layer")):
        kept = [item for item in plan.frees if item.kind == kind]
        if kept:
            total = words.size(sum(item.size_bytes for item in kept))
            entries.append(Entry("  ", f"removes {plural(len(kept), what)} ({total})", "warn"))
    return entries
