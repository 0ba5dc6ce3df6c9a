"""What is said of a job, on the command line and on the screens."""

from __future__ import annotations

from collections.abc import Callable

from agent.protocol.jobs import Job


def progress(job: Job, *, size: Callable[[float], str], unknown: str) -> str:
    """`43% of 600 MiB`, `12 of 40`, `1.5 MiB`; `unknown` where nobody knows."""
    if job.done is None:
        return unknown
    if job.unit == "items":
        return f"{job.done} of {job.total}" if job.total else str(job.done)
    if not job.total:
        return size(job.done)
    return f"{100 * job.done // job.total}% of {size(job.total)}"


def why(job: Job) -> str:
    """Why it waits, failed, or did not go on; what came of it otherwise."""
    if job.problem is not None:
        return f"{job.reason}; {job.problem.detail}" if job.reason else job.problem.detail
    if job.reason:
        return job.reason
    return ", ".join(f"{key} {value}" for key, value in job.result.items())


def since(job: Job) -> float:
    """Unix seconds, by the node's clock, of when it came into its state; a stage is not one."""
    return job.ended_at or job.started_at or job.created_at
