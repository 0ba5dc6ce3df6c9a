"""What several tests here start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.kit.scripted_machine import Machine


@pytest.fixture
def machine(short_folder: Path) -> Iterator[Machine]:
    made = Machine(short_folder)
    yield made
    made.close()
