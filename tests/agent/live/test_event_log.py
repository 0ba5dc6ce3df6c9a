"""The event log: resume, snapshot, fall behind, quiet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agent.live import event_log
from agent.live.event_log import EventLog
from agent.protocol.live import Change, Sections, Snapshot, apply_change, difference


def parse(chunk: bytes) -> list[tuple[str, str, Any]]:
    """(id, event, data) of each event in a chunk."""
    found = []
    for block in chunk.decode().split("\n\n"):
        if block and not block.startswith(":"):
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((fields["id"], fields["event"], msgspec.json.decode(fields["data"])))
    return found


async def take(stream: AsyncIterator[bytes]) -> list[tuple[str, str, Any]]:
    return parse(await anext(stream))


def log() -> EventLog:
    return EventLog("b00t", clock=lambda: 1.0)


async def test_a_new_reader_gets_a_snapshot_then_changes() -> None:
    events = log()
    events.update({"gpus": {"a": {"u": 1, "t": 40}}})
    stream = events.follow()
    ((first_id, kind, data),) = await take(stream)
    assert (first_id, kind) == ("b00t-1", "snapshot")
    assert data["sections"] == {"gpus": {"a": {"u": 1, "t": 40}}}
    events.update({"gpus": {"a": {"u": 2, "t": 40}}})
    ((second_id, kind, data),) = await take(stream)
    assert (second_id, kind) == ("b00t-2", "change")
    assert data["set"] == {"gpus": {"a": {"u": 2}}}


async def test_a_reader_resumes_where_it_was() -> None:
    events = log()
    for value in range(5):
        events.update({"gpus": {"a": {"u": value}}})
    got = await take(events.follow("b00t-3"))
    assert [(event_id, kind) for event_id, kind, _ in got] == [
        ("b00t-4", "change"),
        ("b00t-5", "change"),
    ]


async def test_unknown_newer_and_foreign_ids_get_a_snapshot() -> None:
    events = log()
    events.update({"gpus": {"a": {"u": 1}}})
    for given_id in ("b00t-9", "other-1", "b00t-", "b00t-x", "", "b00t-¹"):
        ((_, kind, _),) = await take(events.follow(given_id))
        assert kind == "snapshot", given_id


async def test_a_reader_that_fell_behind_gets_a_snapshot() -> None:
    events = log()
    events.update({"gpus": {"a": {"u": -1}}})
    stream = events.follow()
    await take(stream)
    for value in range(event_log.CAPACITY_EVENTS + 5):
        events.update({"gpus": {"a": {"u": value}}})
    ((_, kind, data),) = await take(stream)
    assert kind == "snapshot"
    assert data["sections"]["gpus"]["a"]["u"] == event_log.CAPACITY_EVENTS + 4


async def test_the_log_is_bounded_in_bytes() -> None:
    events = log()
    for value in range(20):
        events.update({"facts": {"": {"blob": str(value) * 200_000}}})
    assert events._bytes <= event_log.CAPACITY_BYTES + 200_100
    assert len(events._events) < 20


async def test_a_quiet_node_sends_only_comments(monkeypatch: Any) -> None:
    monkeypatch.setattr(event_log, "COMMENT_EVERY_SECONDS", 0.01)
    events = log()
    events.update({"gpus": {"a": {"u": 1}}})
    stream = events.follow()
    await take(stream)
    assert not events.update({"gpus": {"a": {"u": 1}}})
    assert await anext(stream) == event_log.COMMENT


async def test_one_encoding_serves_all_readers() -> None:
    events = log()
    events.update({"gpus": {"a": {"u": 0}}})
    streams = [events.follow() for _ in range(3)]
    for stream in streams:
        await take(stream)
    events.update({"gpus": {"a": {"u": 1}}})
    chunks = [await anext(stream) for stream in streams]
    assert chunks[0] == chunks[1] == chunks[2]


async def test_a_section_left_out_is_left_alone() -> None:
    events = log()
    events.update({"gpus": {"a": {"u": 1}}, "findings": {"f": {"code": "x"}}})
    events.update({"gpus": {}})
    assert events.sections == {"gpus": {}, "findings": {"f": {"code": "x"}}}


values = st.one_of(st.none(), st.integers(-3, 3), st.lists(st.integers(0, 2), max_size=2))
records = st.dictionaries(st.sampled_from("uvw"), values, min_size=1)
pictures = st.dictionaries(
    st.sampled_from(["gpus", "containers"]), st.dictionaries(st.sampled_from("abc"), records)
)


@given(st.lists(pictures, min_size=1, max_size=6))
def test_changes_bring_a_copy_to_the_same_picture(steps: list[Sections]) -> None:
    """Whatever happens, snapshot plus changes equals the agent's own picture."""
    events = log()
    mine: Sections = {}
    for step in steps:
        # Records of one kind have the same fields in every sample, as structs have.
        whole = {
            section: {
                key: {field: record.get(field) for field in "uvw"}
                for key, record in contents.items()
            }
            for section, contents in step.items()
        }
        change = difference(events.sections, whole, at=1.0)
        events.update(whole)
        if change is not None:
            wire = msgspec.json.decode(msgspec.json.encode(change), type=Change)
            apply_change(mine, wire)
    snapshot = msgspec.json.decode(parse_data(events.snapshot()), type=Snapshot)
    assert {s: r for s, r in mine.items() if r} == {s: r for s, r in snapshot.sections.items() if r}


def parse_data(frame: bytes) -> bytes:
    return frame.split(b"data: ", 1)[1].strip()
