"""Themes: what Textual needs, and the tones in which our own lines are drawn.

A tone is a name for a meaning ("bad"); its Rich style differs by theme. No meaning rests on the
tone alone: a word or a sign always says the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from rich.style import Style
from textual.theme import Theme

Tones = Mapping[str, str]

TONES = (
    "",  # ordinary text
    "dim",  # stale, unimportant
    "good",
    "warn",
    "bad",
    "accent",  # a name one looks for
    "title",  # table headers, the first line
    "key",  # a key in the footer
    "cursor",
    "found",  # a search hit
    "production",
)


class Skin(msgspec.Struct, frozen=True):
    """A theme and its tones."""

    theme: Theme
    tones: Tones
    about: str


def _skin(about: str, theme: Theme, tones: Tones) -> Skin:
    missing = set(TONES) - set(tones)
    if missing:
        raise ValueError(f"{theme.name} lacks the tones {sorted(missing)}")
    return Skin(theme, tones, about)


def _full(name: str, about: str, *, dark: bool, colors: Mapping[str, str]) -> Skin:
    """A theme in 24-bit colour."""
    c = colors
    theme = Theme(
        name=name,
        dark=dark,
        primary=c["accent"],
        secondary=c["dim"],
        accent=c["accent"],
        success=c["good"],
        warning=c["warn"],
        error=c["bad"],
        foreground=c["text"],
        background=c["ground"],
        surface=c["ground"],
        panel=c["panel"],
    )
    tones = {
        "": c["text"],
        "dim": c["dim"],
        "good": c["good"],
        "warn": c["warn"],
        "bad": f"bold {c['bad']}",
        "accent": f"bold {c['accent']}",
        "title": f"bold {c['text']} on {c['panel']}",
        "key": f"bold {c['accent']}",
        "cursor": f"bold {c['ground']} on {c['accent']}",
        "found": f"{c['ground']} on {c['warn']}",
        "production": f"bold {c['ground']} on {c['bad']}",
    }
    return _skin(about, theme, tones)


_DARK = _full(
    "roost-dark",
    "dark, 24-bit colour",
    dark=True,
    colors={
        "text": "#d5dbe3",
        "dim": "#7d8794",
        "good": "#7fc98f",
        "warn": "#e5b567",
        "bad": "#f0717b",
        "accent": "#6fb7e8",
        "ground": "#11151a",
        "panel": "#222a33",
    },
)
_LIGHT = _full(
    "roost-light",
    "light, 24-bit colour",
    dark=False,
    colors={
        "text": "#20262d",
        "dim": "#6b7480",
        "good": "#1d7a36",
        "warn": "#8f5a00",
        "bad": "#b3202c",
        "accent": "#0b62a4",
        "ground": "#fbfbf9",
        "panel": "#e3e7ea",
    },
)
# Colours that people with deutan, protan and tritan sight tell apart (after Okabe and Ito, 2008):
# bluish green, orange, vermilion, sky blue.
_SAFE = _full(
    "roost-safe",
    "dark, told apart with any colour sight",
    dark=True,
    colors={
        "text": "#e6e6e6",
        "dim": "#8c8c8c",
        "good": "#009e73",
        "warn": "#e69f00",
        "bad": "#ff7f2a",
        "accent": "#56b4e9",
        "ground": "#0d0d0d",
        "panel": "#262626",
    },
)
# The terminal's own 16 colours and background: fewest bytes, right on any palette.
_ANSI = _skin(
    "the terminal's own 16 colours, fewest bytes",
    Theme(
        name="roost-ansi",
        ansi=True,
        primary="ansi_blue",
        secondary="ansi_cyan",
        warning="ansi_yellow",
        error="ansi_red",
        success="ansi_green",
        accent="ansi_cyan",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        variables={
            "ansi-background": "ansi_black",
            "ansi-foreground": "ansi_white",
            "input-cursor-background": "ansi_white",
            "input-cursor-foreground": "ansi_black",
            "input-selection-background": "ansi_blue",
            "input-selection-foreground": "ansi_white",
        },
    ),
    {
        "": "",
        "dim": "dim",
        "good": "green",
        "warn": "yellow",
        "bad": "bold red",
        "accent": "bold",
        "title": "bold",
        "key": "bold",
        "cursor": "reverse",
        "found": "black on yellow",
        "production": "bold reverse red",
    },
)

SKINS: Mapping[str, Skin] = {skin.theme.name: skin for skin in (_DARK, _LIGHT, _ANSI, _SAFE)}


def styles_of(skin: Skin) -> dict[str, Style]:
    """Rich styles by tone."""
    return {tone: Style.parse(text) if text else Style() for tone, text in skin.tones.items()}
