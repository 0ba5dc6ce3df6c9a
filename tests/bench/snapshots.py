"""Snapshots: taking one of a real node, and what two large ones differ in."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.protocol.snapshots import NodeSnapshot
from console.fleet.inventory import NodeEntry
from console.snapshots.comparing import compare
from console.snapshots.snapshot_file import read_snapshot, write_snapshot
from console.snapshots.words import diff_lines
from tests.agent_process import AgentProcess
from tests.bench.table import Row
from tests.console.cli.commands import environment, write_fleet
from tests.console.snapshots.made import applied, engine, facts, gpu, image, snapshot
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

ROOST = Path(sys.executable).with_name("roost")
WORKLOADS, TAGS = 3, 40
LARGE = 300  # images; a fifth as many workloads and engines
MODEL_BYTES = 64 * 1024 * 1024


def run(*, short: bool) -> list[Row]:
    """A node with a real Docker Engine; `short` with fewer rounds."""
    rounds = 3 if short else 9
    with tempfile.TemporaryDirectory(prefix="rs", dir="/tmp") as name:
        home = Path(name)
        with _node(home) as fleet:
            file = home / "taken.snapshot"
            first = _seconds(lambda: _roost(home, fleet, "take", "edge", "-o", file, "--force"), 1)
            taken = _seconds(
                lambda: _roost(home, fleet, "take", "edge", "-o", file, "--force"), rounds
            )
            live = _seconds(lambda: _roost(home, fleet, "diff", file, "edge"), rounds)
        one, other = home / "one.snapshot", home / "other.snapshot"
        write_snapshot(one, _large(0))
        write_snapshot(other, _large(1))
        differing = _seconds(lambda: _differ(one, other), 3 * rounds)
        command = _seconds(lambda: _roost(home, fleet, "diff", one, other), rounds)
        alone = _seconds(lambda: _roost(home, fleet, "--help"), rounds)
    return [
        Row(
            name="snapshot take, without images (the whole command)",
            value=taken,
            unit="s",
            limit=2,
            note=f"{WORKLOADS} workloads, {TAGS} tags, a model of 64 MiB",
        ),
        Row(name="the same, the first time: the model is read", value=first, unit="s"),
        Row(name="snapshot diff with a node (the whole command)", value=live, unit="s"),
        Row(
            name=f"diff of two snapshots, {LARGE} images: read, compared, as text",
            value=1000 * differing,
            unit="ms",
            limit=200,
        ),
        Row(
            name="the same (the whole command)",
            value=1000 * command,
            unit="ms",
            peer_name="roost snapshot --help",
            peer=1000 * alone,
        ),
    ]


def _differ(one: Path, other: Path) -> None:
    changes = compare(read_snapshot(one).snapshot, read_snapshot(other).snapshot)
    if len(list(diff_lines(changes))) < LARGE:
        raise RuntimeError("it found too few differences")


def _large(generation: int) -> NodeSnapshot:
    """Of another generation, each thing in it is another one."""
    return snapshot(
        facts(driver=f"58{generation}.1", gpus=[gpu(index) for index in range(8)]),
        images=[image(f"app-{n}:1", 1 + 2 * n + generation) for n in range(LARGE)],
        workloads=[
            applied(
                f"web-{n}",
                1 + 2 * n + generation,
                environment={f"NAME_{v}": f"{v + generation}" for v in range(30)},
                labels={f"label-{v}": f"{v}" for v in range(30)},
            )
            for n in range(LARGE // 5)
        ],
        engines=[engine(f"model-{n}", key=f"{n + generation:02x}" * 32) for n in range(LARGE // 5)],
        configuration={f"key-{n}": f"{n + generation}" for n in range(40)},
    )


@contextmanager
def _node(home: Path) -> Iterator[Path]:
    """A real agent over a real Docker Engine of its own; the fleet's file."""
    folder = home / "a"
    folder.mkdir()
    runtime = home / "d"
    runtime.mkdir()
    enclosure = Enclosure(runtime, network=True)
    try:
        docker = DockerEngine(enclosure)
        docker.start()
        docker.load_busybox()
        for number in range(TAGS):
            docker.docker("tag", IMAGE, f"app-{number}:1")
        models = folder / "state" / "models"
        models.mkdir(parents=True)
        (models / "detector.onnx").write_bytes(os.urandom(MODEL_BYTES))
        with AgentProcess(folder, {"name": "edge", "runtime": docker.url}) as agent:
            entry = NodeEntry(name="edge", address=f"unix://{agent.sockets['operator']}")
            fleet = write_fleet(home / "fleet.yaml", [entry])
            service = {"image": IMAGE, "command": ["sleep", "3600"], "x-roost": {"soak": "0s"}}
            compose = home / "compose.yaml"
            services = {f"web-{number}": service for number in range(WORKLOADS)}
            compose.write_text(json.dumps({"name": "app", "services": services}))
            _call(home, fleet, "workload", "apply", compose, "--to", "@edge", "--yes")
            yield fleet
        docker.clear()
    finally:
        enclosure.close()


def _roost(home: Path, fleet: Path, *words: str | Path) -> None:
    _call(home, fleet, "snapshot", *words)


def _call(home: Path, fleet: Path, *words: str | Path) -> None:
    subprocess.run(
        [ROOST, "--fleet", fleet, *words], env=environment(home), capture_output=True, check=True
    )


def _seconds(do: Callable[[], None], rounds: int) -> float:
    """The median."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        do()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
