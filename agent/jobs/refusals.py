"""Why a caller is told no: the problems of jobs, in one place."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError

SHOWN_MATCHES = 5


def described(job: Job) -> str:
    """A job in a sentence: `image.load of detector:1.4 (job 3f0a, by maria)`."""
    return f"{job.kind} of {job.subject} (job {job.id}, by {job.owner})"


def not_ready() -> ProblemError:
    return ProblemError(
        "node.not_ready",
        "the agent has not read its jobs yet",
        hint="Try again in a moment; /readyz tells when.",
    )


def not_found(name: str) -> ProblemError:
    return ProblemError(
        "job.not_found",
        f"this node knows no job {name!r}",
        params={"job": name},
        hint="See which there are: roost job ls. Old ones are forgotten after a while.",
    )


def ambiguous(name: str, matches: Sequence[Job]) -> ProblemError:
    return ProblemError(
        "job.ambiguous",
        f"{len(matches)} jobs begin with {name!r}",
        params={"job": name, "matches": [job.id for job in matches[:SHOWN_MATCHES]]},
        hint="Write more of the id.",
    )


def key_reused(job: Job) -> ProblemError:
    return ProblemError(
        "job.key_reused",
        f"that idempotency key stands for {described(job)}, which was another request",
        params={"job": job.id},
        hint="Use a new key for each new request.",
    )


def queue_full(limit: int) -> ProblemError:
    return ProblemError(
        "job.queue_full",
        f"{limit} jobs wait on this node already",
        params={"limit": limit},
        hint="Wait for some to end, or cancel some: roost job ls, roost job cancel JOB",
    )


def locked(key: str, holder: Job) -> ProblemError:
    return ProblemError(
        "job.locked",
        f"{key} is in use by {described(holder)}",
        params={"key": key, "job": holder.id, "owner": holder.owner},
        hint=f"Wait for it, or cancel it: roost job cancel {holder.id}",
    )


def already_ended(job: Job) -> ProblemError:
    return ProblemError(
        "job.ended",
        f"{described(job)} has {job.state}"
        if job.state in {"succeeded", "failed"}
        else f"{described(job)} is {job.state}",
        params={"job": job.id, "state": job.state},
        hint="There is nothing to cancel any more.",
    )


def not_retryable(job: Job, why: str) -> ProblemError:
    return ProblemError(
        "job.not_retryable",
        f"{described(job)} {why}",
        params={"job": job.id, "state": job.state},
        hint="Only a job that ended without success can be tried again.",
    )
