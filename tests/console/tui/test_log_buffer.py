"""The lines of a log that are kept."""

from __future__ import annotations

import re

from agent.protocol.containers import LogLine
from console.tui.log_buffer import LogBuffer, keep


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(text=text) for text in texts]


def shown(buffer: LogBuffer) -> list[str]:
    return [kept.text for kept in buffer.shown]


def test_there_are_never_more_lines_than_wanted() -> None:
    buffer = LogBuffer(max_lines=3)
    assert buffer.add(lines("a", "b", "c")) == 0
    assert buffer.add(lines("d", "e")) == 2
    assert shown(buffer) == ["c", "d", "e"]
    assert buffer.dropped == 2


def test_nor_more_characters() -> None:
    buffer = LogBuffer(max_characters=10)
    buffer.add(lines("aaaa", "bbbb", "cccc"))
    assert shown(buffer) == ["bbbb", "cccc"]
    buffer.add(lines("d" * 50))
    assert shown(buffer) == ["d" * 50]
    assert buffer.characters == 50


def test_lines_that_the_filter_hides_count_and_go_too() -> None:
    buffer = LogBuffer(max_lines=4)
    buffer.narrow("x")
    assert buffer.add(lines("x1", "y", "y", "y", "y")) == 1
    assert shown(buffer) == []
    buffer.narrow("")
    assert shown(buffer) == ["y"] * 4


def test_find_goes_either_way() -> None:
    buffer = LogBuffer()
    buffer.add(lines("a", "b", "a", "b"))
    pattern = re.compile("a")
    assert buffer.find(pattern, 3, -1) == 2
    assert buffer.find(pattern, 1, -1) == 0
    assert buffer.find(pattern, 1, 1) == 2
    assert buffer.find(pattern, 3, 1) is None
    assert buffer.find(pattern, -1, -1) is None


def test_a_stream_that_begins_again_tells_nothing_twice() -> None:
    buffer = LogBuffer()
    first = [LogLine(text=f"{n}", at=f"2026-05-04T10:00:0{n}Z") for n in range(5)]
    buffer.add(first)
    assert buffer.last_at == "2026-05-04T10:00:04Z"
    again = [*first[3:], LogLine(text="5", at="2026-05-04T10:00:05Z")]
    assert [line.text for line in buffer.without_known(again)] == ["5"]
    buffer.clear()
    assert not buffer.shown
    assert len(buffer) == 0


def test_a_line_is_made_safe_and_cut() -> None:
    assert keep(LogLine(text="\x1b[31ma\tb\x1b[0m\r")).text == "a       b"
    assert keep(LogLine(text="a\x00b")).text == "a\\x00b"
    cut = keep(LogLine(text="x" * 2**20)).text
    assert cut.endswith("x [cut here: 1008 KiB more]")
    assert len(cut) < 17_000
