"""How cells look (SGR codes), and the shortest way from one look to the next.

A look is a string: SGR parameters ("1;38;5;3"), then, for a hyperlink, LINK and its address.
The empty string is the terminal's default.
"""

from __future__ import annotations

from functools import lru_cache

from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip

LINK = "\x1b"
PLAIN = ""

# What each SGR parameter sets; the colours are found by range. ECMA-48, section 8.3.117.
_KIND = {
    "1": "intensity",
    "2": "intensity",
    "3": "italic",
    "4": "underline",
    "5": "blink",
    "6": "blink",
    "7": "reverse",
    "8": "conceal",
    "9": "strike",
    "21": "underline",
    "51": "frame",
    "52": "frame",
    "53": "overline",
}
_OFF = {
    "intensity": "22",
    "italic": "23",
    "underline": "24",
    "blink": "25",
    "reverse": "27",
    "conceal": "28",
    "strike": "29",
    "frame": "54",
    "overline": "55",
    "foreground": "39",
    "background": "49",
}
_COLOURS = frozenset({"foreground", "background"})
# What a blank cell shows nothing of.
_UNSEEN_ON_BLANK = frozenset({"intensity", "italic", "conceal", "foreground", "blink"})
_PARAMETERS_AFTER = {"2": 4, "5": 2}  # 38;2;R;G;B and 38;5;N


@lru_cache(maxsize=4096)
def look_of(style: Style | None, colors: ColorSystem) -> str:
    """The look of a Rich style in a colour system."""
    if style is None:
        return PLAIN
    codes = ";".join(_parse(Strip.render_ansi(style, colors)).values())
    if not style.link:
        return codes
    return codes + LINK + "".join(filter(str.isprintable, style.link))


@lru_cache(maxsize=4096)
def blank_look(look: str) -> str | None:
    """What a look shows on a space: the background's codes; None if it shows more than that."""
    codes, _, link = look.partition(LINK)
    kinds = _parse(codes)
    background = kinds.pop("background", "")
    return None if link or kinds.keys() - _UNSEEN_ON_BLANK else background


def alike_on_blank(look: str, other: str) -> bool:
    """Whether a space looks the same in both."""
    background = blank_look(look)
    return background is not None and background == blank_look(other)


@lru_cache(maxsize=4096)
def change_look(old: str, new: str) -> str:
    """The shortest sequence that turns look `old` into look `new`."""
    old_codes, _, old_link = old.partition(LINK)
    new_codes, _, new_link = new.partition(LINK)
    sequence = "" if old_link == new_link else f"\x1b]8;;{new_link}\x1b\\"
    if old_codes == new_codes:
        return sequence
    afresh = f"0;{new_codes}" if new_codes else ""
    steps = ";".join(_steps(_parse(old_codes), _parse(new_codes)))
    return f"{sequence}\x1b[{min(afresh, steps, key=len)}m"


def _steps(old: dict[str, str], new: dict[str, str]) -> list[str]:
    steps = [_OFF[kind] for kind in old if kind not in new]
    for kind, codes in new.items():
        before = old.get(kind)
        if before == codes:
            continue
        if before is not None and kind not in _COLOURS:
            steps.append(_OFF[kind])  # 1 does not end 2
        steps.append(codes)
    return steps


def _parse(codes: str) -> dict[str, str]:
    """SGR parameters by what they set; default colours are left out."""
    kinds: dict[str, str] = {}
    parameters = codes.split(";") if codes else []
    at = 0
    while at < len(parameters):
        code = parameters[at]
        length = 1
        kind = _KIND.get(code)
        if kind is None:
            kind = "background" if code.startswith(("4", "10")) else "foreground"
            if code in {"38", "48"}:
                length += _PARAMETERS_AFTER[parameters[at + 1]]
        value = ";".join(parameters[at : at + length])
        at += length
        if kind not in _COLOURS:
            kinds[kind] = f"{kinds[kind]};{value}" if kind in kinds else value
        elif code not in {"39", "49"}:
            kinds[kind] = value
    return kinds
