"""Jobs: work on a node that outlives one request.

`POST` of work validates at once and answers 202 with a `Job`. A repeated request with the same
`Idempotency-Key` header answers the same job, also after a restart of the agent.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.problems import Problem

IDEMPOTENCY_HEADER = "Idempotency-Key"

JobState = Literal[
    "queued", "running", "succeeded", "failed", "cancelled", "interrupted", "skipped"
]
ENDED: frozenset[JobState] = frozenset(
    {"succeeded", "failed", "cancelled", "interrupted", "skipped"}
)

# Stages of a load: bytes of its layers came in the last seconds; none did, so nobody sends them.
RECEIVING = "receiving"
NO_SENDER = "no sender"
AWAITING_LAYERS = frozenset({RECEIVING, NO_SENDER})


class Job(msgspec.Struct, kw_only=True):
    """One job. In the live picture its record is this, `done` in steps of 1 % of `total`."""

    id: str
    kind: str  # "image.load", "image.remove"
    subject: str  # what it works on, for people: "detector:1.4"
    # The same for jobs that are done in the same way: of an engine's build, a digest of its recipe.
    alike: str | None = None
    state: JobState
    stage: str | None = None  # "receiving", "loading", "verifying"
    # Of `total`; both None: indeterminate. Once it has ended: how far its last stage came.
    done: int | None = None
    total: int | None = None
    unit: Literal["bytes", "items"] = "bytes"
    owner: str
    parent: str | None = None  # the job that this one retries, or is a part of
    created_at: float  # Unix seconds, by the node's clock
    started_at: float | None = None
    ended_at: float | None = None
    deadline_at: float | None = None  # of the stage it is in
    cancelling: bool = False
    # Why it waits, was skipped or interrupted, and what is left half-done.
    reason: str | None = None
    problem: Problem | None = None  # why it failed
    result: dict[str, str] = {}  # what came of it, for people and programs


class JobLogLine(msgspec.Struct, kw_only=True):
    """One line of a job's log; `event: lines` carries a list of them, `event: end` a Job."""

    number: int  # counts from 1
    at: float
    text: str
