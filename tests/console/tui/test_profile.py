"""How the interface runs on a terminal."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from console.tui.look.themes import SKINS, TONES
from console.tui.profile import (
    FULL_THEME,
    LEAN_THEME,
    THEME_NAMES,
    choose_profile,
    set_textual_knobs,
    theme_named,
)


def test_over_ssh_it_is_lean_by_itself() -> None:
    profile = choose_profile({"SSH_CONNECTION": "10.0.0.2 1 10.0.0.3 22"})
    assert profile.lean
    assert not profile.mouse
    assert profile.theme == LEAN_THEME
    assert profile.refresh_seconds == 2


def test_elsewhere_it_is_not() -> None:
    profile = choose_profile({})
    assert not profile.lean
    assert profile.mouse
    assert profile.theme == FULL_THEME
    assert profile.refresh_seconds == 1


def test_what_was_asked_for_wins() -> None:
    ssh = {"SSH_CONNECTION": "x"}
    assert not choose_profile(ssh, lean=False).lean
    assert choose_profile({}, lean=True).lean
    profile = choose_profile(ssh, theme="safe", refresh_seconds=10.0)
    assert (profile.theme, profile.refresh_seconds) == ("roost-safe", 10)


def test_without_colour_the_terminals_own_theme_is_worn() -> None:
    # In Textual's other themes NO_COLOR means 24-bit grey.
    assert choose_profile({"NO_COLOR": "1"}).theme == LEAN_THEME


@pytest.mark.parametrize(
    "wrong", [{"theme": "solarized"}, {"refresh_seconds": 3.0}, {"refresh_seconds": 0.0}]
)
def test_what_there_is_not_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ProblemError) as caught:
        choose_profile({}, **wrong)  # type: ignore[arg-type]
    assert caught.value.code == "console.usage"
    assert caught.value.hint


def test_textual_finds_its_settings_in_the_environment() -> None:
    environ: dict[str, str] = {}
    set_textual_knobs(environ)
    assert environ == {
        "TEXTUAL_ANIMATIONS": "none",
        "TEXTUAL_SMOOTH_SCROLL": "0",
    }


def test_the_themes_are_those_that_are_named() -> None:
    assert tuple(SKINS) == THEME_NAMES
    assert all(set(skin.tones) == set(TONES) for skin in SKINS.values())
    assert theme_named("dark") == "roost-dark"


def test_the_ansi_theme_has_no_colour_of_its_own() -> None:
    skin = SKINS["roost-ansi"]
    assert skin.theme.ansi
    assert not any("#" in style for style in skin.tones.values())
