"""Figures as short words, glyphs by the terminal."""

from __future__ import annotations

import pytest

from console.tui.look import words
from console.tui.look.glyphs import ASCII, UNICODE, glyphs_for

GIB = 1024**3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "--"),
        (0, "0s"),
        (9.9, "9s"),
        (10, "10s"),
        (59.9, "50s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86399, "23h"),
        (86400 * 99, "99d"),
        (86400 * 100, "14w"),
        (86400 * 699, "99w"),
        (86400 * 800, "2y"),
    ],
)
def test_an_age_has_three_cells_and_no_seconds(seconds: float | None, text: str) -> None:
    assert words.age(seconds) == text
    assert len(text) <= 3


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "--"),
        (0, "0B"),
        (2048, "2K"),
        (512 * 1024**2, "512M"),
        (10.2 * GIB, "10.2G"),
        (1536 * GIB, "1.5T"),
    ],
)
def test_sizes(count: float | None, text: str) -> None:
    assert words.size(count) == text


def test_shares() -> None:
    assert words.share(None, 15 * GIB) == "--/15.0G"
    assert words.share(None, None) == "--"
    assert words.share(3 * GIB, None) == "3.0G"
    assert words.share(3 * GIB, 15 * GIB) == "3.0/15.0G"
    assert words.share(1015 * GIB, 1128 * GIB) == "1015/1128G"
    assert words.share(256 * 1024**2, 512 * 1024**2) == "256/512M"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("Tesla T4", "T4"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA H200 NVL", "H200"),
        ("Jetson AGX Orin Developer Kit", "AGX Orin"),
        ("Orin (nvgpu)", "Orin"),
        ("NVIDIA RTX A2000 12GB", "RTX A2000"),
        ("NVIDIA Graphics Device", "NVIDIA Graphics Device"),
    ],
)
def test_gpu_models_without_family_names(name: str, model: str) -> None:
    assert words.gpu_model(name) == model


@pytest.mark.parametrize(
    ("environ", "glyphs"),
    [
        ({}, UNICODE),
        ({"LANG": "C"}, ASCII),
        ({"LANG": "en_US.UTF-8"}, UNICODE),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, ASCII),
        ({"LANG": "de_DE.ISO-8859-1"}, ASCII),
        ({"LC_CTYPE": "C.utf8", "LANG": "C"}, UNICODE),
        ({"LANG": "C.UTF-8", "TERM": "vt100"}, ASCII),
    ],
)
def test_glyphs_go_by_locale_and_terminal(environ: dict[str, str], glyphs: object) -> None:
    assert glyphs_for(environ) is glyphs


def test_every_state_has_a_sign_of_its_own() -> None:
    for glyphs in (UNICODE, ASCII):
        assert len(set(glyphs.states.values())) == 5
    signs = [*ASCII.states.values(), ASCII.more, ASCII.levels, ASCII.times]
    assert "".join(signs).isascii()
