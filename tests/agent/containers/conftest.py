from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from tests.agent.containers.scripted import ScriptedRuntime


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[None]:
    with blockbuster_ctx("agent.containers"):
        yield


@pytest.fixture
def scripted(tmp_path: Path) -> ScriptedRuntime:
    """Not listening yet."""
    return ScriptedRuntime(tmp_path / "api.sock")
