"""CPU and memory from cgroup files, on trees made for the tests."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.containers.figures import FIRST_READING, CgroupFigures, Figures
from agent.containers.inspection import Inspected
from tests.agent.containers.answers import ID, container, looked_at
from tests.agent.containers.trees import v2_tree

PID = 2255
ONE = looked_at(msgspec.structs.replace(container(1), id=ID), pid=PID)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_cpu_needs_two_readings(tmp_path: Path) -> None:
    folder = v2_tree(tmp_path, f"/docker/{ID}", pid=PID)
    reader = CgroupFigures(tmp_path)
    first = reader.read([ONE])[ID]
    assert (first.cpu_percent, first.unknown) == (None, {"cpu_percent": FIRST_READING})
    assert (first.memory_used_bytes, first.process_count) == (7_000_000, 7)
    second = reader.read([ONE])[ID]
    assert (second.cpu_percent, second.unknown) == (0.0, {})
    (folder / "cpu.stat").write_text("usage_usec 9500000\n")
    third = reader.read([ONE])[ID]
    assert third.cpu_percent is not None
    assert third.cpu_percent > 0
    reader.close()


def test_a_counter_that_went_back_is_not_a_load(tmp_path: Path) -> None:
    folder = v2_tree(tmp_path, f"/docker/{ID}", pid=PID)
    reader = CgroupFigures(tmp_path)
    reader.read([ONE])
    (folder / "cpu.stat").write_text("usage_usec 1\n")
    assert reader.read([ONE])[ID].cpu_percent is None
    reader.close()


def test_a_container_that_ended_just_now_is_unknown_with_a_reason(tmp_path: Path) -> None:
    folder = v2_tree(tmp_path, f"/docker/{ID}", pid=PID)
    reader = CgroupFigures(tmp_path)
    reader.read([ONE])
    (folder / "memory.current").write_text("")
    found = reader.read([ONE])[ID]
    assert found.memory_used_bytes is None
    assert "cannot be read" in found.unknown["memory_used_bytes"]
    reader.close()


def test_files_are_given_back_when_a_container_stops(tmp_path: Path) -> None:
    v2_tree(tmp_path, f"/docker/{ID}", pid=PID)
    reader = CgroupFigures(tmp_path)
    before = open_files()
    reader.read([ONE])
    assert open_files() == before + 5
    reader.read([])
    assert open_files() == before


def test_a_restarted_container_is_looked_up_again(tmp_path: Path) -> None:
    v2_tree(tmp_path, f"/docker/{ID}", pid=PID)
    reader = CgroupFigures(tmp_path)
    reader.read([ONE])
    again = Inspected(container=ONE.container, pid=PID + 1)
    v2_tree(tmp_path, f"/docker/{ID}", pid=PID + 1)
    assert reader.read([again])[ID].unknown == {"cpu_percent": FIRST_READING}
    reader.close()


async def test_a_container_that_cannot_be_seen_and_no_runtime_to_ask(tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    [found] = await figures.read([ONE], None)
    assert found.id == ID
    assert (found.cpu_percent, found.memory_used_bytes) == (None, None)
    assert set(found.unknown) == {"cpu_percent", "memory_used_bytes", "process_count"}
    assert figures.latest(ID) is found
    assert figures.latest("other") is None
    await figures.stop()


async def test_figures_come_in_the_order_that_was_asked_for(tmp_path: Path) -> None:
    v2_tree(tmp_path, f"/docker/{ID}", pid=PID)
    figures = Figures(tmp_path)
    other = looked_at(container(2), pid=1)
    found = await figures.read([other, ONE], None)
    assert [one.id for one in found] == [other.container.id, ID]
    await figures.stop()
