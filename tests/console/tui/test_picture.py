"""The picture: its updates show what plain output shows, in fewer bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

from console.tui.cells import split_cells
from console.tui.picture import Picture
from tests.emulator import Emulator, differences

COLORS = ColorSystem.TRUECOLOR
WIDTH, HEIGHT = 24, 10

_CHARACTERS = "ab  -9█é世界한🚀e\u0301x\u0336❤\ufe0f\u200d👩\x1b\x07\u202e"
_STYLES = ("bold", "red", "on blue", "red on blue", "underline", "reverse dim", "dim")
_texts = st.text(st.sampled_from(_CHARACTERS), max_size=8) | st.just(" " * 9)
_looks = st.none() | st.sampled_from(_STYLES).map(Style.parse)
_segments = st.lists(
    st.tuples(_texts, _looks).map(lambda pair: Segment(*pair)), min_size=1, max_size=3
)
_puts = st.lists(
    st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), _segments), max_size=8
)


def put(picture: Picture, y: int, text: str, x: int = 0, style: str = "") -> None:
    picture.put(x, y, [Segment(text, Style.parse(style))], COLORS)


def write_plainly(terminal: Emulator, x: int, y: int, segments: list[Segment]) -> None:
    """Write the segments where they belong, cut at the screen's edge."""
    for text, style, _ in segments:
        cells = list(split_cells(text))
        room = terminal.columns - x
        if 0 < room < len(cells) and not cells[room]:
            cells[room - 1] = " "
        line = "".join(cells[: max(room, 0)])
        if line:
            terminal.feed(f"\x1b[{y + 1};{x + 1}H")
            terminal.feed(style.render(line, color_system=COLORS) if style else line)
        x += len(cells)


@settings(max_examples=60, deadline=None)
@given(st.lists(_puts, min_size=1, max_size=3), st.integers(0, 4))
def test_updates_show_what_plain_output_shows(
    frames: list[list[tuple[int, int, list[Segment]]]], forget_at: int
) -> None:
    picture, ours, plain = Picture(WIDTH, HEIGHT), Emulator(WIDTH, HEIGHT), Emulator(WIDTH, HEIGHT)
    for terminal in (ours, plain):
        terminal.feed("\x1b[?7l")  # as Textual starts
    for number, frame in enumerate(frames):
        for x, y, segments in frame:
            picture.put(x, y, segments, COLORS)
            write_plainly(plain, x, y, segments)
        if number == forget_at:
            ours.feed("\x1b[3;3H\x1b[31mwritten by somebody else")
            picture.forget()
        ours.feed(picture.update())
        assert differences(ours, plain) == []
        assert picture.update() == ""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=HEIGHT, max_size=HEIGHT),
    st.integers(-HEIGHT, HEIGHT),
    st.integers(0, HEIGHT - 1),
    st.integers(0, HEIGHT),
    st.booleans(),
)
def test_lines_that_move_show_what_plain_output_shows(
    lines: list[int], by: int, top: int, bottom: int, bar: bool
) -> None:
    picture, ours, plain = Picture(WIDTH, HEIGHT), Emulator(WIDTH, HEIGHT), Emulator(WIDTH, HEIGHT)

    def show(rows: list[int]) -> None:
        for y, row in enumerate(rows):
            text = f"line {row} 世界 {'abc' * (row % 4)}".ljust(WIDTH)[: WIDTH - 4]
            end = Segment(" █" if bar and y == row % HEIGHT else "  ", Style.parse("on blue"))
            style = Style.parse("reverse") if row == by else None
            picture.put(0, y, [Segment(text, style), end], COLORS)
            write_plainly(plain, 0, y, [Segment(text, style), end])
        ours.feed(picture.update())
        assert differences(ours, plain) == []

    show(lines)
    moved = list(lines)
    for y in range(top, bottom):
        moved[y] = lines[y + by] if top <= y + by < bottom else 31 + y
    show(moved)
    show(lines)


@pytest.mark.parametrize("down", [False, True])
def test_lines_that_all_move_by_one_cost_the_new_line(down: bool) -> None:
    # As a log that grows by a line, or a table that is scrolled back; the title above stays.
    picture = Picture(80, 24)
    words = random.Random(1)  # any text
    lines = [" ".join(str(words.random()) for _ in range(4)).ljust(80) for _ in range(24)]
    before, after = (lines[1:], lines[:-1]) if down else (lines[:-1], lines[1:])
    put(picture, 0, "title")
    for y, line in enumerate(before, 1):
        put(picture, y, line)
    picture.update()
    for y, line in enumerate(after, 1):
        put(picture, y, line)
    new = (lines[0] if down else lines[-1]).rstrip()
    assert new in (update := picture.update())
    assert len(update) < len(new) + 40


def test_nothing_is_written_where_nothing_differs() -> None:
    picture = Picture(20, 2)
    put(picture, 0, "same 世界")
    assert picture.update() != ""
    put(picture, 0, "same 世界")
    put(picture, 1, "", x=3)
    assert picture.update() == ""


def test_one_changed_cell_costs_a_move_and_the_cell() -> None:
    picture = Picture(80, 24)
    put(picture, 11, "12 % 3m", x=30)
    picture.update()
    put(picture, 11, "13 % 3m", x=30)
    assert picture.update() == "\x1b[12;32H3"


def test_cells_between_two_changes_are_written_where_that_is_shorter() -> None:
    picture = Picture(80, 24)
    put(picture, 0, "12 34 123456789")
    picture.update()
    put(picture, 0, "22 33 023456780")
    assert picture.update() == "\x1b[H22 33 0\x1b[7C0"


def test_the_blank_rest_of_a_line_is_erased() -> None:
    picture = Picture(80, 24)
    put(picture, 0, "a long line of text")
    picture.update()
    put(picture, 0, "a".ljust(30))
    assert picture.update() == "\x1b[1;3H\x1b[K"


def test_a_coloured_rest_of_a_line_is_not_erased() -> None:
    # Terminals differ in the background that erasing leaves.
    picture = Picture(20, 2)
    put(picture, 0, "a long line", style="on blue")
    picture.update()
    put(picture, 0, "a".ljust(20), style="on blue")
    assert "\x1b[K" not in picture.update()


def test_the_other_half_of_a_wide_character_is_blanked() -> None:
    picture = Picture(20, 2)
    put(picture, 0, "世界")
    put(picture, 1, "世界")
    picture.update()
    put(picture, 0, "a")
    put(picture, 1, "b", x=3)
    assert picture.update() == "\x1b[Ha \x1b[B b"


def test_after_a_cluster_the_cursor_is_placed_again() -> None:
    # Terminals differ in how far the cursor goes after emoji made of several code points.
    picture = Picture(20, 2)
    put(picture, 0, "👩\u200d🚀 up")
    assert picture.update().endswith("👩\u200d🚀\x1b[4Gup")


def test_a_picture_keeps_what_is_wanted_when_its_size_changes() -> None:
    picture = Picture(10, 3)
    put(picture, 0, "0123456世")
    put(picture, 2, "last")
    picture.update()
    for width, height, wanted in (
        (8, 2, ["0123456", ""]),
        (12, 3, ["0123456", "", ""]),
        (1, 1, ["0"]),
        (0, 0, []),
        (5, 2, ["", ""]),
    ):
        terminal = Emulator(max(width, 1), max(height, 1))
        picture.resize(width, height)
        terminal.feed(picture.update())
        assert terminal.lines_of_text()[:height] == wanted


def test_cells_outside_the_screen_are_ignored() -> None:
    picture, terminal = Picture(5, 2), Emulator(5, 2)
    put(picture, 7, "below")
    put(picture, 0, "right", x=5)
    put(picture, 1, "1234世")
    terminal.feed(picture.update())
    assert terminal.lines_of_text() == ["", "1234"]


def test_a_frame_ends_in_the_default_look() -> None:
    picture = Picture(20, 2)
    put(picture, 0, "red", style="red on blue")
    assert picture.update().endswith("red\x1b[m")
