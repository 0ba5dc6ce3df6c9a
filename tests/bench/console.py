"""The console with 200 cached nodes at its start, and with 1,000 simulated nodes live."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import yaml

from agent.simulation.fleet import NodeList
from tests.bench.processes import Usage
from tests.bench.table import Row
from tests.simulated import simulator_process
from tests.terminal import Terminal

ROOST = Path(sys.executable).parent / "roost"
CACHED, LIVE = 200, 1000
ENVIRONMENT = {"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}

TEXTUAL = "import textual.app, textual.widgets._data_table"


def run(*, short: bool) -> list[Row]:
    """First paint from the cache; key echo, memory and CPU with all nodes live."""
    return [*_first_paint(rounds=3 if short else 11), *_live(short=short)]


def _first_paint(*, rounds: int) -> list[Row]:
    """From the start of the process to the first cached row on the screen; no node answers."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name:
        home = Path(name)
        with simulator_process(CACHED, faults=False) as simulator:
            fleet = _fleet_file(home, simulator.nodes)
            with _terminal(fleet, home) as terminal:
                terminal.wait_for(f"{CACHED} live", 60)
                time.sleep(1)
                terminal.send(":q\r")
                terminal.wait_exit(20)
        times, imports = [], []
        for _ in range(rounds):
            started = time.monotonic()
            subprocess.run([sys.executable, "-c", TEXTUAL], check=True)
            imports.append(time.monotonic() - started)
            with _terminal(fleet, home) as terminal:
                terminal.wait_for(min(node.name for node in simulator.nodes.nodes), 20)
                times.append(time.monotonic() - terminal.started)
    return [
        Row(
            name=f"first paint, {CACHED} nodes from the cache",
            value=statistics.median(times),
            unit="s",
            limit=0.5,
            peer_name="importing Textual alone",
            peer=statistics.median(imports),
        )
    ]


def _live(*, short: bool) -> list[Row]:
    with (
        tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name,
        simulator_process(LIVE, faults=False) as simulator,
    ):
        home = Path(name)
        fleet = _fleet_file(home, simulator.nodes)
        with _terminal(fleet, home) as terminal:
            terminal.wait_for(f"{LIVE} live", 120)
            time.sleep(5)
            usage = Usage(terminal.process.pid)
            time.sleep(10 if short else 60)
            cpu, memory = usage.cpu_percent(), usage.rss_mib()
            echoes = [
                _echo(terminal, "up" if turn % 2 else "down")
                for turn in range(40 if short else 200)
            ]
    return [
        Row(
            name=f"key echo, {LIVE} nodes live, p95",
            value=sorted(echoes)[int(len(echoes) * 0.95)] * 1000,
            unit="ms",
            limit=50,
        ),
        Row(name=f"console CPU, {LIVE} nodes live", value=cpu, unit="% of a core", limit=40),
        Row(name=f"console memory, {LIVE} nodes live", value=memory, unit="MB", limit=200),
    ]


def _echo(terminal: Terminal, key: str) -> float:
    """A key that moves the cursor a line, until the screen shows it there."""
    time.sleep(0.13)
    before = _cursor_line(terminal.screen_text())
    started = time.monotonic()
    terminal.press(key)
    terminal.wait_until(lambda: _cursor_line(terminal.screen_text()) != before, "the cursor")
    return time.monotonic() - started


def _cursor_line(screen: str) -> int:
    """The line that the cursor marks, by its `>`."""
    return next((n for n, line in enumerate(screen.splitlines()) if line.startswith(">")), -1)


def _terminal(fleet: Path, home: Path) -> Terminal:
    return Terminal(
        [ROOST, "--fleet", fleet],
        env={
            **ENVIRONMENT,
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_CONFIG_HOME": str(home / "config"),
        },
    )


def _fleet_file(folder: Path, nodes: NodeList) -> Path:
    file = folder / "fleet.yaml"
    file.write_text(yaml.safe_dump(msgspec.to_builtins(nodes)), encoding="utf-8")
    return file
