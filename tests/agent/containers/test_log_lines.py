"""Lines from the bytes of a log, however they are cut into pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.containers.frames import Part
from agent.containers.log_lines import LineAssembler
from agent.protocol.containers import LOG_LINE_LIMIT_BYTES, LogLine

STAMP = "2026-11-21T07:47:26.777023509Z"
LATER = "2026-11-21T07:47:27.000000001+01:00"
PODMAN_STAMP = "2026-11-21T07:47:34Z"
LIMIT = LOG_LINE_LIMIT_BYTES


def message(text: str, *, at: str = STAMP, stream: str = "stdout") -> Part:
    return Part("stderr" if stream == "stderr" else "stdout", f"{at} {text}".encode(), begins=True)


def assembled(*parts: Part, framed: bool = True) -> list[LogLine]:
    assembler = LineAssembler(framed=framed)
    found = [line for part in parts for line in assembler.feed(part)]
    return found + assembler.finish()


def test_a_message_is_a_line_with_its_stamp() -> None:
    assert assembled(message("hello\n")) == [LogLine(text="hello", at=STAMP)]


@pytest.mark.parametrize("stamp", [STAMP, LATER, PODMAN_STAMP])
def test_stamps_of_every_runtime_are_taken_off(stamp: str) -> None:
    assert assembled(message("hello\n", at=stamp)) == [LogLine(text="hello", at=stamp)]


def test_the_streams_do_not_mix() -> None:
    lines = assembled(
        message("half "),
        message("warning\n", stream="stderr"),
        Part("stdout", b"a line\n", begins=False),
    )
    assert lines == [
        LogLine(text="warning", at=STAMP, stream="stderr"),
        LogLine(text="half a line", at=STAMP),
    ]


def test_empty_lines_and_line_breaks_of_a_terminal() -> None:
    lines = assembled(message("\n"), message("\r\n"), message("a\rb\r\n"))
    assert [line.text for line in lines] == ["", "", "a\rb"]


def test_the_last_line_may_have_no_line_break() -> None:
    assert assembled(message("one\n"), message("prompt> ")) == [
        LogLine(text="one", at=STAMP),
        LogLine(text="prompt> ", at=STAMP),
    ]


def test_several_lines_of_one_message_share_its_stamp() -> None:
    lines = assembled(message(f"one\n{LATER} is what the program wrote\n"))
    assert lines == [
        LogLine(text="one", at=STAMP),
        LogLine(text=f"{LATER} is what the program wrote", at=STAMP),
    ]


def test_a_line_without_a_stamp_is_kept_whole() -> None:
    assert assembled(Part("stdout", b"no stamp here\n", begins=True)) == [
        LogLine(text="no stamp here")
    ]


def test_a_line_of_exactly_the_limit_is_not_cut() -> None:
    [line] = assembled(message("x" * LIMIT + "\n"))
    assert (len(line.text), line.cut_bytes) == (LIMIT, 0)


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("size", [4095, 8192, 16384])
def test_a_long_line_comes_as_messages_that_each_have_a_stamp(framed: bool, size: int) -> None:
    total = 1_000_000
    whole, rest = divmod(total, size)
    parts = [message("x" * size) for _ in range(whole)]
    parts.append(message("x" * rest + ("\n" if framed else "\r\n")))
    lines = assembled(*parts, message("after\n"), framed=framed)
    assert [(len(line.text), line.cut_bytes) for line in lines] == [
        (LIMIT, total - LIMIT),
        (5, 0),
    ]
    assert set(lines[0].text) == {"x"}


def test_nothing_is_kept_of_a_line_that_never_ends() -> None:
    assembler = LineAssembler(framed=True)
    for _ in range(200):
        assert assembler.feed(message("x" * 65536)) == []
    [line] = assembler.finish()
    assert line.cut_bytes == 200 * 65536 - LIMIT


def test_a_character_is_not_cut_in_two() -> None:
    [line] = assembled(message("x" * (LIMIT - 1) + "é" + "y" * 10 + "\n"))
    assert line.text == "x" * (LIMIT - 1)
    assert line.cut_bytes == 2 + 10


def test_bytes_that_are_no_text_do_not_fail() -> None:
    [line] = assembled(Part("stdout", STAMP.encode() + b" \xff\xfe ok\n", begins=True))
    assert line.text == "\ufffd\ufffd ok"


def test_a_terminal_has_no_frames_but_a_stamp_on_every_line() -> None:
    data = f"{STAMP} one\r\n{LATER} two\r\n{LATER} thr".encode()
    lines = assembled(
        Part("stdout", data[:40], begins=True),
        Part("stdout", data[40:], begins=False),
        Part("stdout", b"ee\r\n", begins=False),
        framed=False,
    )
    assert lines == [
        LogLine(text="one", at=STAMP),
        LogLine(text="two", at=LATER),
        LogLine(text="three", at=LATER),
    ]


@given(
    st.lists(st.text(alphabet="ab é\r", max_size=8), max_size=6),
    st.lists(st.integers(min_value=1, max_value=400), max_size=12),
)
def test_lines_are_the_same_however_the_bytes_are_cut(texts: list[str], at: list[int]) -> None:
    assembler = LineAssembler(framed=True)
    found = []
    for text in texts:
        data = f"{STAMP} {text}\n".encode()
        edges = sorted({0, len(data), *(place % len(data) for place in at)})
        for begin, end in itertools.pairwise(edges):
            found += assembler.feed(Part("stdout", data[begin:end], begins=begin == 0))
    found += assembler.finish()
    expected = [text.removesuffix("\r") for text in texts]
    assert [(line.text, line.at) for line in found] == [(text, STAMP) for text in expected]
