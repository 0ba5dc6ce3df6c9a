"""One scene for all cases of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console.rollouts.kills.scene import Scene, staged


@pytest.fixture(scope="module")
def scene(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[Scene]:
    """Of which each case finds what the one before left."""
    with staged(make_short_folder, Scene) as scene:
        yield scene
