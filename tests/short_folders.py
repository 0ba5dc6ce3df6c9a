"""Temporary folders whose paths are short enough for a unix socket inside (107 bytes on Linux)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FolderFactory = Callable[[], Path]


@pytest.fixture(scope="session")
def make_short_folder() -> Iterator[FolderFactory]:
    """Makes folders such as /tmp/r8f3k2q9z that are removed when the tests end."""
    made: list[Path] = []

    def make() -> Path:
        # Not TMPDIR: it may be long, and on macOS it is.
        made.append(Path(tempfile.mkdtemp(prefix="r", dir="/tmp")))
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def short_folder(make_short_folder: FolderFactory) -> Iterator[Path]:
    """A folder for one test, such as /tmp/r8f3k2q9z."""
    folder = make_short_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
