"""What a push removed to make room is said."""

from __future__ import annotations

import pytest

from agent.protocol.images import Freeable
from console.cli.check_table import tell_freed

FREES = [
    Freeable(kind="image", name="app:1", size_bytes=20 * 2**20),
    Freeable(kind="blob", name="sha256:00", size_bytes=2**20),
    Freeable(kind="blob", name="sha256:11", size_bytes=2**20),
    Freeable(kind="upload", name="sha256:22", size_bytes=3 * 2**20),
]


def test_images_by_name_and_layers_together(capsys: pytest.CaptureFixture[str]) -> None:
    tell_freed("cam", "to make room, removed", FREES)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "cam: to make room, removed image app:1 (20 MiB)",
        "cam: to make room, removed 1 partly sent layer (3.0 MiB)",
        "cam: to make room, removed 2 kept layers (2.0 MiB)",
    ]


def test_nothing_is_said_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tell_freed("cam", "removed", [])
    assert capsys.readouterr().err == ""
