"""A job in short words."""

from __future__ import annotations

from agent.protocol.jobs import Job
from console.cli.table import UNKNOWN
from console.fleet import job_words
from console.text import size


def progress(job: Job) -> str:
    """`43% of 600 MiB`, `12 of 40`, `1.5 MiB`, `ended at 43% of 600 MiB`; `-`: nobody knows."""
    return job_words.progress(job, size=size, unknown=UNKNOWN)


def got_to(job: Job) -> str:
    """Where one ended that has not succeeded: `ended at 43%, in stage loading`; else as above."""
    return job_words.got_to(job, size=size) or progress(job)
