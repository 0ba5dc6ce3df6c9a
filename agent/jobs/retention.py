"""Which jobs are forgotten: there is always a bound, by number, age and size."""

from __future__ import annotations

from collections.abc import Iterable

from agent.jobs.job_store import StoredJob
from agent.protocol.jobs import ENDED

# A node has a handful of jobs a day; a release over all its workloads some dozens.
KEPT_JOBS = 200
KEPT_SECONDS = 30 * 86400.0
# What people look for stays even where the clock leaps ahead by years.
KEPT_AT_ANY_AGE = 20
# Of all requests together, which `retry` needs. An image's config is seldom over 100 KB.
KEPT_REQUEST_BYTES = 64 * 1024 * 1024


def to_forget(jobs: Iterable[StoredJob], now: float) -> list[str]:
    """Ids of jobs that go, of all that there are, oldest first. One that is under way stays."""
    gone: list[str] = []
    size = 0
    ended = [stored for stored in jobs if stored.job.state in ENDED]
    for count, stored in enumerate(reversed(ended)):
        size += stored.request_bytes
        age = now - (stored.job.ended_at or stored.job.created_at)
        if (
            count >= KEPT_JOBS
            or size > KEPT_REQUEST_BYTES
            or (age > KEPT_SECONDS and count >= KEPT_AT_ANY_AGE)
        ):
            gone.append(stored.job.id)
    return gone
