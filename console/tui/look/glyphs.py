"""Characters beyond letters, and their stand-ins for terminals that know ASCII only."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Glyphs(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One set. All are one cell wide."""

    states: Mapping[str, str]
    """NodeState to its sign. The word always stands beside it."""
    sort_up: str
    sort_down: str
    mark: str
    cursor: str
    crumb: str
    times: str
    degree: str
    more: str  # the end of a text that was cut
    dot: str
    line: str
    differs: str
    levels: str
    """Heights of a history line, lowest first; the first one is drawn for zero too."""
    ascii: bool


UNICODE = Glyphs(
    states={"live": "●", "connecting": "◌", "stale": "◐", "offline": "○", "refused": "✗"},
    sort_up="↑",
    sort_down="↓",
    mark="*",
    cursor=">",
    crumb="\u203a",
    times="\u00d7",
    degree="°",
    more="…",
    dot="·",
    line="─",
    differs="≠",
    levels="▁▂▃▄▅▆▇█",
    ascii=False,
)

ASCII = Glyphs(
    states={"live": "+", "connecting": ".", "stale": "~", "offline": "-", "refused": "!"},
    sort_up="^",
    sort_down="v",
    mark="*",
    cursor=">",
    crumb=">",
    times="x",
    degree="",
    more="~",
    dot="|",
    line="-",
    differs="!",
    levels="_.-:=+*#",
    ascii=True,
)

# Terminals that cannot show more, whatever the locale says.
_ASCII_TERMINALS = frozenset({"dumb", "vt52", "vt100", "vt102", "vt220"})


def glyphs_for(environ: Mapping[str, str]) -> Glyphs:
    """ASCII where the locale names another charset than UTF-8 (LANG=C), or the terminal is old.

    Without any locale variable, as in many containers, the terminal is taken to know UTF-8.
    """
    if environ.get("TERM", "") in _ASCII_TERMINALS:
        return ASCII
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    charset = locale.lower().replace("-", "")
    return ASCII if charset and "utf8" not in charset else UNICODE
