from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.containers.scripted import ScriptedRuntime


@pytest.fixture
def scripted(short_folder: Path) -> ScriptedRuntime:
    """Not listening yet."""
    return ScriptedRuntime(short_folder / "api.sock")
