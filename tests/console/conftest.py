"""Fixtures for the console's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.serving import ServedAgent, serve_agent


@pytest.fixture
async def served(short_folder: Path) -> AsyncIterator[ServedAgent]:
    """A real agent application over fixed sources."""
    async with serve_agent(short_folder) as agent:
        yield agent
