"""Figures from the runtime's own answers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.containers.stats import Stats, figures_of


def stats(
    second: int, cpu: int, *, memory: dict[str, Any] | None = None, pids: int | None = 3
) -> Stats:
    answer = {
        "read": f"2026-11-21T07:47:{second:02d}.5Z",
        "cpu_stats": {"cpu_usage": {"total_usage": cpu, "percpu_usage": [1, 2]}, "online_cpus": 2},
        "memory_stats": memory
        or {"usage": 1000, "limit": 4000, "stats": {"total_inactive_file": 300, "cache": 1}},
        "pids_stats": {} if pids is None else {"current": pids},
        "name": "/x",
    }
    return msgspec.json.decode(msgspec.json.encode(answer), type=Stats)


def test_two_answers_make_a_load() -> None:
    found = figures_of("c", stats(12, 3_000_000_000), stats(10, 0), memory_limit_bytes=None)
    assert found.cpu_percent == 150.0
    assert (found.memory_used_bytes, found.memory_limit_bytes) == (700, None)
    assert (found.process_count, found.unknown) == (3, {})


@pytest.mark.parametrize("before", [None, stats(12, 0), stats(10, 4_000_000_000)])
def test_without_a_usable_answer_before_there_is_no_load(before: Stats | None) -> None:
    found = figures_of("c", stats(12, 3_000_000_000), before, memory_limit_bytes=1)
    assert found.cpu_percent is None
    assert "cpu_percent" in found.unknown


@pytest.mark.parametrize(
    ("memory", "used"),
    [
        ({"usage": 1000, "stats": {"inactive_file": 200}}, 800),  # cgroup v2
        ({"usage": 1000, "stats": {"inactive_file": 2000}}, 1000),
        ({"usage": 1000}, 1000),
        ({"usage": 1000, "stats": None}, 1000),  # Podman
        ({"limit": 1}, None),
    ],
)
def test_memory_as_docker_stats_counts_it(memory: dict[str, Any], used: int | None) -> None:
    found = figures_of("c", stats(1, 1, memory=memory), None, memory_limit_bytes=4096)
    assert found.memory_used_bytes == used
    assert ("memory_used_bytes" in found.unknown) == (used is None)
    assert found.memory_limit_bytes == 4096


def test_what_is_not_told_is_unknown() -> None:
    found = figures_of("c", stats(1, 1, pids=None), None, memory_limit_bytes=None)
    assert found.process_count is None
    assert found.unknown["process_count"]
