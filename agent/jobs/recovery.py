"""What becomes of the jobs of an agent that ended, when the next one starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from agent.jobs.job_store import StoredJob
from agent.jobs.kind import JobKind
from agent.protocol.decoding import from_json
from agent.protocol.jobs import JobState

# A job under which the agent ends each time must not go on for ever. Agents are started anew
# for good reasons too, and a load over a bad link may see many of those.
RUNS_LIMIT = 20

log = logging.getLogger(__name__)


class Ended(NamedTuple):
    """It does not go on."""

    state: JobState
    reason: str


class GoesOn(NamedTuple):
    """It waits for its turn again."""

    kind: JobKind[Any]
    request: msgspec.Struct
    keys: frozenset[str]


def recover(stored: StoredJob, request: bytes, kinds: Mapping[str, JobKind[Any]]) -> GoesOn | Ended:
    """Decide about a job that was queued or running."""
    job = stored.job
    kind = kinds.get(job.kind)
    if kind is None:
        return Ended("interrupted", f"this agent knows no jobs of kind {job.kind}")
    if job.cancelling:
        why = f"{job.reason}; " if job.reason else ""
        return Ended("cancelled", why + left_behind(stored))
    if job.state == "running" and not kind.resumable:
        return Ended("interrupted", left_behind(stored))
    if stored.runs >= RUNS_LIMIT:
        text = f"the agent ended {stored.runs} times while it ran; {left_behind(stored)}"
        return Ended("interrupted", text)
    try:
        decoded = from_json(request, kind.request_type)
        return GoesOn(kind, decoded, frozenset(kind.locks(decoded)))
    except msgspec.DecodeError as error:
        return Ended("interrupted", f"this agent cannot read what was asked for: {error}")
    except Exception as error:
        # Whatever it is, it must not keep the agent from starting.
        log.exception("job %s (%s) cannot go on", job.id, job.kind)
        return Ended("interrupted", f"the agent made a mistake: {type(error).__name__}")


def left_behind(stored: StoredJob) -> str:
    """Why a job did not go on, and what it left half-done."""
    stage = stored.job.stage or "queued"
    return f"the agent ended in stage {stage}" + (f"; {stored.leaves}" if stored.leaves else "")
