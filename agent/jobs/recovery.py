"""What becomes of the jobs of an agent that ended, when the next one starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from agent.jobs.job_store import StoredJob
from agent.jobs.kind import JobKind
from agent.protocol.jobs import JobState

# A job under which the agent ends each time must not go on for ever. Agents are started anew
# for good reasons too, and a load over a bad link may see many of those.
RUNS_LIMIT = 20


class Recovered(NamedTuple):
    """It waits for its turn again (`kind`, `request`), or it has ended (`state`, `reason`)."""

    kind: JobKind[Any] | None = None
    request: msgspec.Struct | None = None
    state: JobState = "interrupted"
    reason: str | None = None


def recover(stored: StoredJob, request: bytes, kinds: Mapping[str, JobKind[Any]]) -> Recovered:
    """Decide about a job that was queued or running."""
    job = stored.job
    kind = kinds.get(job.kind)
    if kind is None:
        return Recovered(reason=f"this agent knows no jobs of kind {job.kind}")
    if job.cancelling:
        why = f"{job.reason}; " if job.reason else ""
        return Recovered(state="cancelled", reason=why + left_behind(stored))
    if job.state == "running" and not kind.resumable:
        return Recovered(reason=left_behind(stored))
    if stored.runs >= RUNS_LIMIT:
        return Recovered(
            reason=f"the agent ended {stored.runs} times while it ran; {left_behind(stored)}"
        )
    try:
        return Recovered(kind, msgspec.json.decode(request, type=kind.request_type))
    except msgspec.DecodeError as error:
        return Recovered(reason=f"this agent cannot read what was asked for: {error}")


def left_behind(stored: StoredJob) -> str:
    """Why a job did not go on, and what it left half-done."""
    stage = stored.job.stage or "queued"
    return f"the agent ended in stage {stage}" + (f"; {stored.leaves}" if stored.leaves else "")
