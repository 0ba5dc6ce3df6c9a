"""A job as a row: across the fleet, and on its node."""

from __future__ import annotations

import time

from agent.protocol.jobs import ENDED, NO_SENDER, Job, JobState
from console.engines.build_times import BUILD_KIND
from console.fleet.job_words import doing, progress, short_progress, since, waits_until, why
from console.fleet.job_words import state as whole_state
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, SortKey, make_row
from console.tui.rows.fleet import age_cell

# Of what runs, the stage stands in place of the state where both do not fit. By itself it is for
# programs that read a saved table.
_STAGE = Column("stage", "STAGE", (0, 0, 0, 0))
# How long it will still wait for somebody to send the rest, and keep its space.
_WAITS = Column("waits", "WAITS", (0, 5, 5, 5), "right")

COLUMNS = (
    Column("node", "NODE", (12, 12, 18, 24), grow=10),
    Column("subject", "SUBJECT", (15, 13, 22, 30), grow=16),
    Column("kind", "KIND", (0, 12, 13, 16)),
    Column("state", "STATE", (11, 11, 20, 24)),
    _STAGE,
    Column("progress", "DONE", (4, 4, 13, 14), "right", largest_first=True),
    Column("since", "FOR", (3, 3, 3, 4)),
    _WAITS,
    Column("age", "AGE", (0, 3, 3, 4), largest_first=True),
    Column("owner", "BY", (8, 8, 12, 20), grow=10),
    Column("reason", "WHY", (0, 0, 0, 30), grow=80),
)

NODE_COLUMNS = (
    Column("subject", "SUBJECT", (15, 20, 28, 36), grow=16),
    Column("kind", "KIND", (12, 12, 13, 16)),
    Column("state", "STATE", (11, 11, 20, 24)),
    _STAGE,
    Column("progress", "DONE", (4, 4, 13, 14), "right", largest_first=True),
    Column("since", "FOR", (3, 3, 3, 4)),
    _WAITS,
    Column("owner", "BY", (8, 12, 16, 20), grow=10),
    Column("reason", "WHY", (0, 0, 12, 40), grow=80),
)

STATE_TONES: dict[JobState, str] = {
    "queued": "",
    "running": "accent",
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "warn",
    "interrupted": "warn",
    "skipped": "dim",
}
# Seconds: more than any time of a job.
_RANK_SECONDS = 1e11
_UNDER_WAY: frozenset[JobState] = frozenset({"queued", "running"})


def job_rows(view: NodeView) -> list[Row]:
    """For the table across the fleet; a row's key is "node/id"."""
    dim, name = view.state != "live", view.name
    node = Cell(name, sort=name, tag="PROD" if view.entry.production else "")
    age = age_cell(view)
    rows = []
    for job in view.jobs():
        subject, kind, state, stage, done, since, waits, owner, reason = _cells(job, view)
        cells = (node, subject, kind, state, stage, done, since, waits, age, owner, reason)
        rows.append(make_row(f"{name}/{job.id}", name, cells, dim=dim, loud=3, more=job.id))
    return rows


def node_job_rows(view: NodeView) -> list[Row]:
    """For the node's own screen; the same keys."""
    return [
        make_row(
            f"{view.name}/{job.id}",
            view.name,
            _cells(job, view),
            dim=view.state != "live",
            loud=2,
            more=job.id,
        )
        for job in view.jobs()
    ]


def job_of(view: NodeView, key: str) -> Job | None:
    """The job of a row's key, if it is still told of."""
    _, _, job_id = key.rpartition("/")
    return next((job for job in view.jobs() if job.id == job_id), None)


def job_command(row: Row, view: NodeView | None) -> str:
    """What opens the job of a row: the build of an engine has a view of its own."""
    job = job_of(view, row.key) if view is not None else None
    kind = "build" if job is not None and job.kind == BUILD_KIND else "job"
    return f"{kind} @{row.group} {row.key.rpartition('/')[2]}"


def running_jobs(view: NodeView) -> int:
    """How many are under way. Reads the records as they are: it is asked at every refresh."""
    records = view.sections.get("jobs")
    if not records:
        return 0
    return sum(record.get("state") in _UNDER_WAY for record in records.values())


def state_text(job: Job) -> str:
    """Its state in one word."""
    return "cancelling" if job.cancelling and job.state not in ENDED else job.state


def progress_text(job: Job) -> str:
    """ "43% of 600M", "12 of 40", "1.5M"; `--` where nobody knows."""
    return progress(job, size=words.size, unknown=words.UNKNOWN)


def _cells(job: Job, view: NodeView) -> tuple[Cell, Cell, Cell, Cell, Cell, Cell, Cell, Cell, Cell]:
    offset = view.clock_offset_seconds or 0.0
    at = since(job) - offset
    state = state_text(job)
    return (
        Cell(job.subject, sort=job.subject),
        # "workload.deploy" and "workload.revert" are alike where they are cut.
        Cell(job.kind.partition(".")[2] or job.kind, sort=job.kind, wide=job.kind, data=job.kind),
        Cell(
            doing(job),
            "warn" if doing(job) in {"cancelling", NO_SENDER} else STATE_TONES[job.state],
            sort=_state_rank(job) * _RANK_SECONDS - at,
            wide=whole_state(job),
            data=state,
        ),
        Cell((job.stage or "") if job.state not in ENDED else ""),
        _progress(job),
        Cell(words.age(max(0.0, time.time() - at)), sort=-at),
        _waits(waits_until(job), offset),
        Cell(job.owner, "dim", sort=job.owner),
        Cell(why(job), "bad" if job.state == "failed" else "dim"),
    )


def _state_rank(job: Job) -> int:
    """What runs comes first, then what waits; what has ended by when it did."""
    if job.state in ENDED:
        return 2
    return 0 if job.state == "running" else 1


def _progress(job: Job) -> Cell:
    """Of one that has ended: how far it came, unless it succeeded."""
    if job.state in ENDED:
        text = short_progress(job)
        return Cell(text, "dim", sort=None, wide=f"ended at {text}" if text else None)
    share: SortKey = None
    text = wide = progress_text(job)
    if job.done is not None and job.total:
        share = job.done / job.total
        text = short_progress(job)
    return Cell(text, sort=share, wide=wide)


def _waits(until: float | None, offset: float) -> Cell:
    if until is None:
        return Cell("", sort=None)
    left = max(0.0, until - offset - time.time())
    return Cell(words.age(left), "warn", sort=left)
