"""A node's jobs over a real file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.jobs.jobs import Jobs
from agent.jobs.kind import JobKind
from agent.store.database import Database

StartJobs = Callable[..., Awaitable[Jobs]]


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
async def start_jobs(database_file: Path) -> AsyncIterator[StartJobs]:
    """Starts the jobs of an agent with the kinds given; more than once: one agent after another."""
    running: list[tuple[Jobs, Database]] = []

    async def stop() -> None:
        while running:
            jobs, database = running.pop()
            await jobs.stop()
            database.close()

    async def start(*kinds: JobKind[Any], **options: Any) -> Jobs:
        await stop()
        database = Database(database_file)
        jobs = Jobs(database, **options)
        for kind in kinds:
            jobs.register(kind)
        running.append((jobs, database))
        await jobs.start()
        return jobs

    yield start
    await stop()
