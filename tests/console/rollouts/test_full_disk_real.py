"""A journal whose disk is full: a small filesystem of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real("filesystem"), pytest.mark.timeout(60)]

MOUNTED = (
    "truncate -s 4M {0}/disk && mkfs.ext4 -q -N 64 {0}/disk && mkdir {0}/small"
    " && mount -o loop {0}/disk {0}/small && exec {1} -m tests.console.rollouts.full_disk {0}/small"
)


def test_nothing_is_half_written_and_room_is_enough_to_go_on(tmp_path: Path) -> None:
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", MOUNTED.format(tmp_path, sys.executable)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [code for code, _ in found["codes"]] == ["rollout.journal"] * 3
    assert all("its disk is full: " in detail for _, detail in found["codes"])
    # SQLite needs some bytes to read, too, where nobody else has the file open.
    assert found["full"] in ("running", "rollout.journal")
    assert (found["after"], found["events"]) == ("paused", ["planned", "running", "paused"])
