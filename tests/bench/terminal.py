"""Bytes to the terminal at 80x24 over SSH: 50 live nodes, 20 cell changes a second."""

from __future__ import annotations

import shutil
import time

from tests.bench.table import Row
from tests.terminal import Terminal
from tests.terminal_bytes import START_SECONDS, STEADY_FROM, measure_terminal_bytes

# htop refreshes once a second here, as the fleet does.
PEERS = {"htop": ["htop", "-d", "10"], "top": ["top", "-d", "1"]}


def run(*, short: bool) -> list[Row]:
    """Start and steady state of `roost`, the quiet fleet, and what is installed of the peers."""
    seconds = 5.0 if short else 30.0
    busy, quiet = (
        measure_terminal_bytes(20, seconds=seconds),
        measure_terminal_bytes(0, seconds=seconds),
    )
    rows = [
        Row(name="terminal, first 3 s", value=busy.start, unit="B", limit=12 * 1024),
        Row(name="terminal, nothing changes", value=quiet.steady_per_second, unit="B/s", limit=0),
        Row(
            name="terminal, 20 changes a second",
            value=busy.steady_per_second,
            unit="B/s",
            limit=350,
        ),
    ]
    for name, command in PEERS.items():
        if shutil.which(command[0]):
            start, steady = _peer(command, seconds)
            rows += [
                Row(
                    name=f"terminal, first 3 s, against {name}",
                    value=busy.start,
                    unit="B",
                    peer_name=name,
                    peer=start,
                ),
                Row(
                    name=f"terminal, steady, against {name}",
                    value=busy.steady_per_second,
                    unit="B/s",
                    peer_name=name,
                    peer=steady,
                    note="on this machine's own processes",
                ),
            ]
    return rows


def _peer(command: list[str], seconds: float) -> tuple[int, float]:
    with Terminal(command, env={"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}) as terminal:
        end = terminal.started + STEADY_FROM + seconds
        time.sleep(max(0.0, end - time.monotonic()))
        start = terminal.bytes_between(terminal.started, terminal.started + START_SECONDS)
        steady = terminal.bytes_between(terminal.started + STEADY_FROM, end)
        return start, steady / seconds
