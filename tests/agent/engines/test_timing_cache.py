"""Two builds that write one timing cache at a time: neither loses what the other found."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.engines import timing_writer

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).parents[3]
EACH = 40


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "timing.cache"
    command = [sys.executable, "-m", timing_writer.__name__, str(path)]
    with ExitStack() as stack:
        writers = [stack.enter_context(_writer([*command, name])) for name in ("one", "other")]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
    assert [writer.returncode for writer in writers] == [0, 0]
    wanted = {f"{name} {number}" for name in ("one", "other") for number in range(EACH)}
    assert set(json.loads(path.read_bytes())) == wanted


def _writer(command: list[str]) -> subprocess.Popen[str]:
    """It begins at a line, or at the end of its input."""
    return subprocess.Popen(
        [*command, str(EACH)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
