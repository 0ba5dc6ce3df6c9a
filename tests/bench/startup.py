"""How long the commands take over an empty Python."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.bench.serving import serve_this_machine
from tests.bench.table import Row

BIN = Path(sys.executable).parent


def run(*, short: bool) -> list[Row]:
    """`roost --version` and `roost node ls` against `python -c pass`, interleaved."""
    rounds = 5 if short else 21
    with serve_this_machine() as fleet_file:
        commands = {
            "bare": [sys.executable, "-c", "pass"],
            "version": [str(BIN / "roost"), "--version"],
            "node ls": [str(BIN / "roost"), "--fleet", str(fleet_file), "node", "ls"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                times[name].append((time.perf_counter() - started) * 1000)
    medians = {name: sorted(values)[len(values) // 2] for name, values in times.items()}
    bare = medians["bare"]
    return [
        Row(
            name="roost --version over bare Python",
            value=medians["version"] - bare,
            unit="ms",
            limit=80,
            peer_name="python -c pass",
            peer=bare,
        ),
        Row(
            name="roost node ls, unix link, over bare Python",
            value=medians["node ls"] - bare,
            unit="ms",
            limit=350,
            peer_name="python -c pass",
            peer=bare,
        ),
    ]
