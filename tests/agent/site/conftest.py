"""A seed that listens, and a node that fetches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.site.pair import Side, side


@pytest.fixture
async def seed(tmp_path: Path) -> AsyncIterator[Side]:
    async with side(tmp_path / "seed", name="seed", listens=True) as made:
        yield made


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Side]:
    async with side(tmp_path / "node", name="node") as made:
        yield made
