"""The first line."""

from __future__ import annotations

from console.tui.look.glyphs import ASCII, UNICODE
from console.tui.profile import choose_profile
from console.tui.widgets.header import header_left, header_right
from tests.console.tui.fakes import make_node, varied_nodes


def text_of(pieces: list[tuple[str, str]]) -> str:
    return "".join(text for text, _ in pieces)


def test_states_are_counted_in_words_where_there_is_room() -> None:
    nodes = varied_nodes()
    assert text_of(header_left("demo", nodes, 100, UNICODE)) == (
        "roost demo  30 nodes  26 live  1 connecting  1 stale  1 offline  1 refused"
    )
    assert text_of(header_left("demo", nodes, 60, UNICODE)) == (
        "roost demo  30 nodes ●26 ◌1 ◐1 ○1 ✗1"
    )
    assert text_of(header_left("demo", nodes, 60, ASCII)).endswith(" +26 .1 ~1 -1 !1")


def test_simulated_nodes_are_said_to_be() -> None:
    nodes = [make_node("a", stack="simulated"), make_node("b")]
    assert "2 nodes, 1 simulated" in text_of(header_left("demo", nodes, 100, UNICODE))


def test_a_long_name_keeps_its_end_and_no_name_reaches_the_terminal_raw() -> None:
    assert "…oost-demo-12/fleet.yaml " in text_of(
        header_left("/tmp/somewhere/roost-demo-12/fleet.yaml", [], 100, UNICODE)
    )
    assert "a\\x1bb" in text_of(header_left("a\x1bb", [], 100, UNICODE))


def test_what_differs_from_the_usual_stands_at_the_right() -> None:
    usual = header_right(
        choose_profile({}), paused=False, refresh_seconds=1.0, bytes_per_second=None
    )
    assert text_of(usual) == " 1s"
    profile = choose_profile({"SSH_CONNECTION": "x"}, read_only=True)
    other = header_right(profile, paused=True, refresh_seconds=10.0, bytes_per_second=186.6)
    assert text_of(other) == " 187 B/s PAUSED READ-ONLY lean 10s"
