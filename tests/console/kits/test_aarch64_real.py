"""A kit for aarch64: every wheel that its Pythons need exists for the platform, and it is small."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from console.kits.making import make_kit
from console.kits.reading import read_kit
from console.kits.wheels import PYTHONS

# pip fetches some 140 MB for four Pythons: minutes, so it is not among what runs at every change.
pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(600)]
LIMIT_BYTES = 40 * 10**6


def test_an_aarch64_kit_is_whole_and_small(tmp_path: Path) -> None:
    path, about = make_kit(tmp_path, arch="aarch64", say=lambda _line: None)
    assert about.pythons == list(PYTHONS)
    assert path.stat().st_size <= LIMIT_BYTES
    assert read_kit(path).about.arch == "aarch64"
    names = [file.path for file in about.files if file.path.endswith(".whl")]
    for name in names:
        assert name.endswith(("aarch64.whl", "-any.whl")), name
    # What has machine code is there for each Python, or once for all by the stable ABI.
    for library in ("msgspec", "zstandard", "cryptography"):
        found = {
            python
            for file in about.files
            if file.path.startswith(f"wheels/{library}-")
            for python in file.pythons or PYTHONS
        }
        assert found == set(PYTHONS), library
    with zipfile.ZipFile(path) as kit:
        assert kit.testzip() is None
