"""Everything about one job, as lines to read."""

from __future__ import annotations

import time

from agent.protocol.jobs import ENDED, Job
from console.fleet.job_words import got_to, since, waits_until
from console.fleet.picture import NodeView
from console.text import age
from console.tui.look import words
from console.tui.moments import moment
from console.tui.rows.jobs import STATE_TONES, progress_text, state_text
from console.tui.widgets.page import Entry

_LABEL = 10


def job_entries(job: Job, view: NodeView) -> list[Entry]:
    """What matters most first: it may be cut on a low terminal. Times are of this console."""
    offset = view.clock_offset_seconds or 0.0
    state = state_text(job)
    tone = "warn" if state == "cancelling" else STATE_TONES[job.state]
    text = state if job.state in ENDED else words.join([state, job.stage or ""])
    if job.state in ENDED:
        text = words.join([text, got_to(job, size=words.size)])
    elif job.done is not None:
        text += f", {progress_text(job)}"
    entries = [_entry("state", f"{text}, for {_span(time.time() - since(job) + offset)}", tone)]
    waits = waits_until(job)
    if waits is not None:
        left = _span(waits - offset - time.time())
        until = f"until {moment(waits - offset)} ({left} more), and keeps its space until then"
        entries.append(_entry("waits", until, "warn"))
    if job.reason:
        entries.append(_entry("reason", job.reason))
    if job.problem is not None:
        entries.append(_entry("problem", f"{job.problem.detail} ({job.problem.code})", "bad"))
        if job.problem.hint:
            entries.append(_entry("do", job.problem.hint, "accent"))
    entries += [_entry("result", f"{key}: {value}") for key, value in job.result.items()]
    entries += [
        _entry("kind", f"{job.kind} of {job.subject}"),
        _entry("by", f"{job.owner}, {moment(job.created_at - offset)}"),
    ]
    for label, at in (("begun", job.started_at), ("ended", job.ended_at)):
        if at is not None:
            entries.append(_entry(label, moment(at - offset)))
    if job.deadline_at is not None and job.state not in ENDED and waits is None:
        entries.append(_entry("deadline", f"{moment(job.deadline_at - offset)} for this stage"))
    if job.parent:
        entries.append(_entry("parent", job.parent))
    entries.append(_entry("job", job.id))
    if view.state != "live":
        old = words.age(view.age_seconds())
        entries.insert(0, Entry("", f" The node is {view.state}: this is {old} old.", "warn"))
    return entries


def _entry(label: str, text: str, tone: str = "") -> Entry:
    return Entry(f" {label:<{_LABEL}}", text, tone)


def _span(seconds: float) -> str:
    """Never seconds, which would change all the time."""
    return "less than a minute" if seconds < 60 else age(seconds)
