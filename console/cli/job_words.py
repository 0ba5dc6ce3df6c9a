"""A job in short words."""

from __future__ import annotations

from agent.protocol.jobs import Job
from console.cli.table import UNKNOWN
from console.text import size


def state(job: Job) -> str:
    """`running, loading`, `running, cancelling`, `failed`."""
    if job.state != "running":
        return job.state
    return f"running, {'cancelling' if job.cancelling else job.stage or 'starting'}"


def progress(job: Job) -> str:
    """`43% of 600 MiB`, `12 of 40`, `1.5 MiB`; `-` where nobody knows."""
    if job.done is None:
        return UNKNOWN
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
    """Unix seconds of when it came into the state it is in; a stage is not a state."""
    return job.ended_at or job.started_at or job.created_at
