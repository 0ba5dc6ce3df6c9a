"""Fixtures for the console's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.console.serving import ServedAgent, serve_agent


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path is short enough for sockets: pytest's own are not."""
    with TemporaryDirectory(prefix="roost") as name:
        yield Path(name)


@pytest.fixture
async def served(short_path: Path) -> AsyncIterator[ServedAgent]:
    """A real agent application over fixed sources."""
    async with serve_agent(short_path) as agent:
        yield agent
