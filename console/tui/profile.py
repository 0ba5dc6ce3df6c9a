"""How the interface runs on this terminal. No Textual here: its knobs are read at its import."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

import msgspec

from agent.protocol.problems import ProblemError

THEME_NAMES = ("roost-dark", "roost-light", "roost-ansi", "roost-safe")
LEAN_THEME = "roost-ansi"
FULL_THEME = "roost-dark"
REFRESH_SECONDS = (1.0, 2.0, 5.0, 10.0)


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen at the start; the theme and the refresh can be changed while running."""

    lean: bool
    """Few bytes: the terminal's own colours, no animation, no mouse."""
    theme: str
    refresh_seconds: float
    mouse: bool
    read_only: bool = False
    show_bytes: bool = False
    """Show in the first line how many bytes a second go to the terminal."""
    bell: bool = True
    """Ring the terminal's when a rollout needs a person; can be changed while running."""


def theme_named(text: str) -> str:
    """A theme's full name from what a person typed: "light" is "roost-light".

    Raises:
        ProblemError: `console.usage`.
    """
    for name in THEME_NAMES:
        if text in {name, name.removeprefix("roost-")}:
            return name
    raise ProblemError(
        "console.usage",
        f"There is no theme {text[:40]!r}",
        params={"themes": list(THEME_NAMES)},
        hint=f"Themes: {', '.join(THEME_NAMES)}.",
    )


def choose_profile(
    environ: Mapping[str, str],
    *,
    lean: bool | None = None,
    theme: str | None = None,
    refresh_seconds: float | None = None,
    read_only: bool = False,
    show_bytes: bool = False,
    bell: bool = True,
) -> Profile:
    """The profile for this terminal: lean by itself over SSH, unless `lean` says otherwise.

    Raises:
        ProblemError: `console.usage` for a theme or a refresh that there is not.
    """
    is_lean = bool(environ.get("SSH_CONNECTION")) if lean is None else lean
    if refresh_seconds is not None and refresh_seconds not in REFRESH_SECONDS:
        raise ProblemError(
            "console.usage",
            f"A refresh of {refresh_seconds:g} s is not one of those there are",
            hint=f"Choose {', '.join(f'{s:g}' for s in REFRESH_SECONDS)} seconds.",
        )
    # NO_COLOR turns Textual's own themes grey in 24-bit colour; only an ANSI theme loses them.
    plain = is_lean or bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
    return Profile(
        lean=is_lean,
        theme=theme_named(theme) if theme else LEAN_THEME if plain else FULL_THEME,
        refresh_seconds=refresh_seconds or (2.0 if is_lean else 1.0),
        mouse=not is_lean,
        read_only=read_only,
        show_bytes=show_bytes,
        bell=bell,
    )


def set_textual_knobs(environ: MutableMapping[str, str]) -> None:
    """Textual's settings, which it reads from the environment when it is imported.

    Its 60 frames a second stay, over SSH too: at 15 a key waited up to 66 ms for its frame, and a
    frame is only what differs.
    """
    environ["TEXTUAL_ANIMATIONS"] = "none"
    environ["TEXTUAL_SMOOTH_SCROLL"] = "0"
