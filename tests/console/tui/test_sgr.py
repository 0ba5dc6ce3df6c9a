"""Looks: a change between two leaves the terminal exactly as the second one says."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.style import Style

from console.tui.sgr import PLAIN, alike_on_blank, change_look, look_of

_ENDS = {
    22: {1, 2}, 23: {3}, 24: {4, 21}, 25: {5, 6}, 27: {7}, 28: {8}, 29: {9}, 54: {51, 52}, 55: {53},
}  # fmt: skip
_ATTRIBUTES = (
    "bold", "dim", "italic", "underline", "blink", "blink2", "reverse", "conceal", "strike",
    "underline2", "frame", "encircle", "overline",
)  # fmt: skip
_LINKS = ("https://example.org/1", "https://example.org/2")
_SEQUENCE = re.compile(r"\x1b\[(?P<sgr>[\d;]*)m|\x1b\]8;[^;]*;(?P<link>[^\x1b]*)\x1b\\|(?P<text>.)")
_COLOR = re.compile(r"38;2;\d+;\d+;\d+|48;2;\d+;\d+;\d+|38;5;\d+|48;5;\d+|\d+")

_colors = st.sampled_from(
    ["default", "red", "bright_blue", "color(27)", "color(231)", "#010203", "#48494a"]
)
_systems = st.sampled_from([ColorSystem.STANDARD, ColorSystem.EIGHT_BIT, ColorSystem.TRUECOLOR])


@st.composite
def _styles(draw: st.DrawFn) -> Style:
    # A new one each time: a style keeps the codes of the first colour system it is rendered in.
    attributes: dict[str, Any] = dict.fromkeys(
        draw(st.sets(st.sampled_from(_ATTRIBUTES), max_size=4)), True
    )
    return Style(
        color=draw(st.none() | _colors),
        bgcolor=draw(st.none() | _colors),
        link=draw(st.sampled_from([None, None, *_LINKS])),
        **attributes,
    )


class Rendition:
    """What a terminal would draw the next character with (ECMA-48, xterm's colours, OSC 8)."""

    def __init__(self) -> None:
        self.attributes: set[int] = set()
        self.colors = {"foreground": "", "background": ""}
        self.link = ""

    def feed(self, text: str) -> Rendition:
        """Obey the sequences before the first printed character."""
        for sequence in _SEQUENCE.finditer(text):
            if sequence["text"] is not None:
                break
            if sequence["link"] is not None:
                self.link = sequence["link"]
            else:
                for code in _COLOR.findall(sequence["sgr"] or "0"):
                    self._set(code)
        return self

    def _set(self, code: str) -> None:
        number = int(code.partition(";")[0])
        if number == 0:
            self.attributes.clear()
            self.colors = {"foreground": "", "background": ""}
        elif number in _ENDS:
            self.attributes -= _ENDS[number]
        elif number in range(30, 50) or number in range(90, 108):
            ground = "foreground" if number < 40 or 90 <= number < 98 else "background"
            self.colors[ground] = "" if number in {39, 49} else code
        else:
            assert any(number in attributes for attributes in _ENDS.values()), code
            self.attributes.add(number)

    def state(self) -> tuple[object, ...]:
        return frozenset(self.attributes), *self.colors.values(), self.link


@given(_styles(), _styles(), _systems)
def test_a_change_of_look_ends_in_what_rich_would_have_written(
    before: Style, after: Style, system: ColorSystem
) -> None:
    terminal = Rendition().feed(before.render("x", color_system=system))
    change = change_look(look_of(before, system), look_of(after, system))
    wanted = Rendition().feed(after.render("x", color_system=system))
    assert terminal.feed(change).state() == wanted.state()


@given(_styles(), _styles(), _systems)
def test_a_change_is_never_longer_than_starting_afresh(
    before: Style, after: Style, system: ColorSystem
) -> None:
    old, new = look_of(before, system), look_of(after, system)
    if before.link == after.link:
        codes = new.partition("\x1b")[0]
        assert len(change_look(old, new)) <= len(f"\x1b[0;{codes}m")


@given(_styles(), _systems)
def test_a_look_is_no_change_from_itself(style: Style, system: ColorSystem) -> None:
    look = look_of(style, system)
    assert change_look(look, look) == ""


def test_default_colours_are_the_plain_look() -> None:
    assert look_of(Style.parse("default on default"), ColorSystem.STANDARD) == PLAIN
    assert look_of(None, ColorSystem.STANDARD) == PLAIN


def test_only_what_changes_is_written() -> None:
    red = look_of(Style.parse("bold #ff0000 on #101010"), ColorSystem.TRUECOLOR)
    plain = look_of(Style.parse("#ff0000 on #101010"), ColorSystem.TRUECOLOR)
    assert change_look(red, plain) == "\x1b[22m"
    assert change_look(plain, red) == "\x1b[1m"
    assert change_look(red, PLAIN) == "\x1b[m"


def test_a_space_shows_the_background_and_lines_but_no_foreground() -> None:
    def look(style: str) -> str:
        return look_of(Style.parse(style), ColorSystem.STANDARD)

    assert alike_on_blank(look("bold red on blue"), look("dim green on blue"))
    assert not alike_on_blank(look("red on blue"), look("red on green"))
    assert not alike_on_blank(look("underline"), PLAIN)
    assert not alike_on_blank(look("reverse"), look("reverse"))
    assert not alike_on_blank(look("link https://example.org"), PLAIN)


def test_a_link_carries_no_control_characters() -> None:
    look = look_of(Style(link="https://example.org/\x1b]52;c;eA==\x07\n"), ColorSystem.STANDARD)
    assert change_look(PLAIN, look) == "\x1b]8;;https://example.org/]52;c;eA==\x1b\\"
