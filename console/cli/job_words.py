"""A job in short words."""

from __future__ import annotations

from agent.protocol.jobs import Job
from console.cli.table import UNKNOWN
from console.fleet import job_words
from console.text import size


def state(job: Job) -> str:
    """`running, loading`, `running, cancelling`, `failed`."""
    if job.state != "running":
        return job.state
    return f"running, {'cancelling' if job.cancelling else job.stage or 'starting'}"


def progress(job: Job) -> str:
    """`43% of 600 MiB`, `12 of 40`, `1.5 MiB`; `-` where nobody knows."""
    return job_words.progress(job, size=size, unknown=UNKNOWN)
