"""Docker's multiplexed stream: frames whole, cut anywhere, and broken."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.containers.frames import ChunkDecoder, FramingError, Part, StreamDecoder, StreamName


def chunked(*payloads: bytes, trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in payloads)
    return body + b"0\r\n" + trailer + b"\r\n"


def framed(stream: int, payload: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(payload).to_bytes(4, "big") + payload


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


payloads = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
places = st.lists(st.integers(min_value=0, max_value=10_000), max_size=12)


@given(payloads, places)
def test_chunks_come_out_the_same_however_they_are_cut(parts: list[bytes], at: list[int]) -> None:
    decoder = ChunkDecoder()
    pieces = [piece for data in cut(chunked(*parts), at) for piece in decoder.feed(data)]
    assert b"".join(piece.data for piece in pieces) == b"".join(parts)
    assert sum(piece.begins for piece in pieces) == len(parts)
    assert decoder.ended


def test_what_follows_the_last_chunk_is_not_payload() -> None:
    decoder = ChunkDecoder()
    pieces = decoder.feed(chunked(b"one", trailer=b"X-Sum: 1\r\n"))
    assert [piece.data for piece in pieces] == [b"one"]
    assert decoder.ended


def test_a_chunk_may_have_an_extension() -> None:
    decoder = ChunkDecoder()
    assert decoder.feed(b"3;name=value\r\nabc\r\n")[0].data == b"abc"
    assert not decoder.ended


@pytest.mark.parametrize("data", [b"zz\r\nabc", b"-3\r\nabc", b"\r\nabc", b"f" * 300])
def test_what_is_no_chunk_is_told(data: bytes) -> None:
    with pytest.raises(FramingError):
        ChunkDecoder().feed(data)


frames = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=6)


@given(frames, places)
def test_streams_come_apart_however_they_are_cut(
    sent: list[tuple[int, bytes]], at: list[int]
) -> None:
    decoder = StreamDecoder()
    data = b"".join(framed(number, payload) for number, payload in sent)
    parts = [part for piece in cut(data, at) for part in decoder.feed(piece)]
    names: dict[int, StreamName] = {1: "stdout", 2: "stderr"}
    for number, name in names.items():
        got = b"".join(part.data for part in parts if part.stream == name)
        assert got == b"".join(payload for which, payload in sent if which == number)
    assert sum(part.begins for part in parts) == sum(bool(payload) for _, payload in sent)


def test_a_frame_of_a_gigabyte_is_not_kept() -> None:
    decoder = StreamDecoder()
    header = bytes((1, 0, 0, 0)) + (1 << 30).to_bytes(4, "big")
    assert decoder.feed(header) == []
    assert decoder.feed(b"x" * 1000) == [Part("stdout", b"x" * 1000, begins=True)]
    assert decoder.feed(b"y" * 1000) == [Part("stdout", b"y" * 1000, begins=False)]


@pytest.mark.parametrize("header", [b"\x05\0\0\0\0\0\0\x01", b"2026-01-"])
def test_what_is_no_frame_is_told(header: bytes) -> None:
    with pytest.raises(FramingError):
        StreamDecoder().feed(header)
