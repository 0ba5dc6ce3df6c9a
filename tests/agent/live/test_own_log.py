"""What the agent keeps of its own log, and where it has it from."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from agent.host.real_paths import ROOT
from agent.live.own_log import KEPT_BYTES, LogKeeper


@pytest.fixture
def keeper() -> LogKeeper:
    return LogKeeper({})


def tell(keeper: LogKeeper, text: str) -> None:
    keeper.handle(logging.LogRecord("agent.x", logging.WARNING, "f", 1, text, (), None))


async def test_the_newest_lines_of_this_run(keeper: LogKeeper) -> None:
    tell(keeper, "one")
    tell(keeper, "two\nthree")
    found = await keeper.read(10_000)
    assert found.source == "memory"
    assert found.reason == "it does not run under systemd"
    assert [line.rpartition(" ")[2] for line in found.lines] == ["one", "two", "three"]
    assert "WARNING agent.x: one" in found.lines[0]
    assert not found.cut


async def test_its_size_is_bounded_on_both_sides(keeper: LogKeeper) -> None:
    for number in range(10_000):
        tell(keeper, f"{number} {'x' * 100}")
    everything = await keeper.read(1 << 30)
    assert everything.cut
    assert sum(len(line) + 1 for line in everything.lines) <= KEPT_BYTES
    assert everything.lines[-1].split()[-2] == "9999"
    few = await keeper.read(1024)
    assert few.cut
    assert few.lines == everything.lines[-len(few.lines) :]
    assert sum(len(line) + 1 for line in few.lines) <= 1024


@pytest.mark.parametrize(
    ("script", "source", "reason"),
    [
        ("echo 2026-11-21T20:00:00 bare roost-agent: up", "journal", None),
        ("exit 0", "memory", "the journal has nothing of roost-agent.service"),
        ("echo no rights >&2; exit 1", "memory", "journalctl: no rights"),
    ],
)
# In the second one a program is run as an agent in a container runs its machine's.
@pytest.mark.parametrize(
    "root", [ROOT, Path("/proc/self/root")] if os.geteuid() == 0 else [ROOT], ids=str
)
async def test_the_journal_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    source: str,
    reason: str | None,
    root: Path,
) -> None:
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    keeper = LogKeeper({"JOURNAL_STREAM": "8:1"}, root=root)
    tell(keeper, "from memory")
    found = await keeper.read(10_000)
    assert (found.source, found.reason) == (source, reason)
    assert len(found.lines) == 1


async def test_without_journalctl_there_is_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    keeper = LogKeeper({"JOURNAL_STREAM": "8:1"})
    tell(keeper, "x")
    found = await keeper.read(10_000)
    assert (found.source, found.reason) == ("memory", "journalctl: No such file or directory")
