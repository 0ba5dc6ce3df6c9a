"""Server-sent events out of any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.problems import ProblemError
from console.link.events import Event, EventParser

STREAM = (
    b"id: b-1\nevent: snapshot\ndata: {}\n\n"
    b":\n\n"
    b'id: b-2\nevent: change\ndata: {"at":1}\n\n'
    b"data: a\ndata: b\n\n"
)
EVENTS = [
    Event("snapshot", b"{}", "b-1"),
    Event("change", b'{"at":1}', "b-2"),
    Event("message", b"a\nb"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_pieces_of_any_size_give_the_same_events(cuts: list[int]) -> None:
    parser = EventParser("n")
    found = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(STREAM)], strict=True):
        found += parser.feed(STREAM[start:end])[0]
    assert found == EVENTS


def test_a_comment_is_a_sign_of_life_and_no_event() -> None:
    parser = EventParser("n")
    assert parser.feed(b":") == ([], False)
    assert parser.feed(b"\n\n") == ([], True)


def test_an_event_without_an_end_is_a_problem() -> None:
    parser = EventParser("n", limit=1000)
    for _ in range(1000):
        parser.feed(b"x")
    with pytest.raises(ProblemError) as caught:
        parser.feed(b"x")
    assert caught.value.code == "link.too_large"


@given(st.binary())
def test_any_bytes_are_survived(data: bytes) -> None:
    events, _ = EventParser("n").feed(data + b"\n\n")
    assert all(isinstance(event.data, bytes) for event in events)
