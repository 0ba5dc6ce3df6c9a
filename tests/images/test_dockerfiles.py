"""Every Dockerfile of this source, as it lies and as it is rendered, under hadolint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from console.builds.context import render
from console.builds.matrix import Variant, read_matrix

IMAGES = Path(__file__).parent.parent.parent / "images"
# Of the locked environment that the tests run in.
HADOLINT = Path(sys.executable).parent / "hadolint"
DOCKERFILES = sorted(IMAGES.rglob("Dockerfile"))
MATRIX = read_matrix(IMAGES / "matrix.yaml")


def remarks(dockerfile: bytes) -> list[str]:
    """What it says, style included."""
    done = subprocess.run(
        [HADOLINT, "--no-color", "--failure-threshold", "style", "-"],
        input=dockerfile,
        capture_output=True,
        check=False,
    )
    said = (done.stdout + done.stderr).decode().splitlines()
    assert done.returncode == (1 if said else 0), said
    return said


def test_all_of_them_are_looked_at() -> None:
    assert {each.parent.name for each in DOCKERFILES} == {"agent", "detector", "gateway"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda each: each.parent.name)
def test_nothing_is_to_be_said_of_it(path: Path) -> None:
    assert remarks(path.read_bytes()) == []


@pytest.mark.parametrize("variant", MATRIX.variants, ids=lambda each: each.name)
def test_nor_of_what_is_rendered(variant: Variant) -> None:
    assert remarks(render(IMAGES / MATRIX.folder, variant).dockerfile) == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [("RUN sudo true", "DL3004"), ("RUN [ $a = b ]", "SC2086"), ("CMD true", "DL3025")],
)
def test_it_does_see_what_is_wrong(line: str, rule: str) -> None:
    (said,) = remarks(f"FROM debian:trixie-slim\n{line}\n".encode())
    assert f" {rule} " in said
