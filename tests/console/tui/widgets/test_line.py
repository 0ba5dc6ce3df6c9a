"""Lines are exactly as wide as they should be, whatever is in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from console.tui.look.glyphs import UNICODE
from console.tui.look.look import Look
from console.tui.widgets.line import Cut, draw, fit, spread

LOOK = Look("roost-ansi", UNICODE)
BASE = Style()
texts = st.text(st.sampled_from("ab \x1b\x07\u202e世한é…●\t\n") | st.characters(), max_size=30)
pieces = st.lists(st.tuples(texts, st.sampled_from(["", "bad", "dim", "cursor"])), max_size=6)


@given(texts, st.integers(0, 40), st.booleans(), st.sampled_from(["start", "middle", "end"]))
def test_a_fitted_text_has_its_width(text: str, width: int, right: bool, cut: Cut) -> None:
    fitted = fit(text, width, LOOK, right=right, cut=cut)
    assert cell_len(fitted) == width
    assert not any(character < " " for character in fitted)


def test_names_are_cut_in_the_middle() -> None:
    assert fit("plant-1-gpu-lost", 15, LOOK, cut="middle") == "plant-1…pu-lost"
    assert fit("plant-1-gpu-lost", 16, LOOK, cut="middle") == "plant-1-gpu-lost"
    assert fit("世世世世世", 6, LOOK, cut="middle") == "世 …世"
    assert fit("plant-1-gpu-lost", 9, LOOK, cut="start") == "…gpu-lost"
    assert fit("世世世世世", 6, LOOK, cut="start") == " …世世"


@given(pieces, st.integers(1, 60))
def test_a_drawn_line_has_its_width(line: list[tuple[str, str]], width: int) -> None:
    strip = draw(line, width, LOOK, base=BASE)
    assert sum(cell_len(segment.text) for segment in strip) == width == strip.cell_length


@given(pieces, pieces, st.integers(1, 60))
def test_so_has_one_with_two_ends(
    left: list[tuple[str, str]], right: list[tuple[str, str]], width: int
) -> None:
    strip = spread(left, right, width, LOOK, base=BASE)
    assert sum(cell_len(segment.text) for segment in strip) == width


def test_neighbours_of_one_tone_are_one_segment() -> None:
    strip = draw([("a", "bad"), ("b", "bad"), ("c", "")], 10, LOOK, base=BASE)
    assert [segment.text for segment in strip] == ["ab", "c         "[:8]]


def test_the_end_that_was_cut_is_marked() -> None:
    assert fit("abcdef", 4, LOOK) == "abc…"
    assert fit("世界世界", 4, LOOK) == "世 …"
    assert fit("7", 3, LOOK, right=True) == "  7"
