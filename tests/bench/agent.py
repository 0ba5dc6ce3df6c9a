"""The agent at 1 Hz with 8 stub GPUs and 10 containers, beside glances and node-exporter."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.protocol.telemetry import Telemetry
from tests.bench.processes import Usage
from tests.bench.table import Row
from tests.nvml_stub.scenario import ENVIRONMENT
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

GPUS, CONTAINERS = 8, 10
# The issue's own times: memory after ten minutes, growth over the next ten.
SETTLE_SECONDS, GROWTH_SECONDS = 600, 600
REQUESTS = 500
IMPORTS = "import click, docker, litestar, msgspec, pynvml, uvicorn, yaml"


class Subject(NamedTuple):
    """Something to measure: a process, and one read of its figures over HTTP."""

    name: str
    process: subprocess.Popen[bytes]
    read: Callable[[], bytes]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def run(*, short: bool) -> list[Row]:
    """Memory, CPU and latency; all subjects run at the same time."""
    settle, growth = (20, 20) if short else (SETTLE_SECONDS, GROWTH_SECONDS)
    with tempfile.TemporaryDirectory(prefix="rb") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        engine = stack.enter_context(_engine(folder))
        agent = stack.enter_context(_agent(folder, engine))
        peers = [stack.enter_context(peer) for peer in _peers()]
        subjects = [agent, *peers]
        for subject in subjects:
            _wait(subject)
        usages = {subject.name: Usage(subject.process.pid) for subject in subjects}
        time.sleep(settle)
        memory = {name: usage.rss_mib() for name, usage in usages.items()}
        for usage in usages.values():
            usage.restart()
        time.sleep(growth)
        cpu = {name: usage.cpu_percent() for name, usage in usages.items()}
        grown = usages[agent.name].rss_mib() - memory[agent.name]
        for subject in subjects:
            _wait(subject)  # connects again: servers close a connection that was silent
        _check_load(agent.read())
        latency = _latencies(subjects)
    return _rows(memory, cpu, grown, latency, [peer.name for peer in peers], minutes=settle / 60)


def _rows(
    memory: dict[str, float],
    cpu: dict[str, float],
    grown: float,
    latency: dict[str, float],
    peers: list[str],
    *,
    minutes: float,
) -> list[Row]:
    rows = [
        Row(
            name=f"agent memory after {minutes:.1f} min",
            value=memory["agent"],
            unit="MB",
            limit=75,
            peer_name="its bare imports",
            peer=_floor(),
        ),
        Row(name=f"its growth in the next {minutes:.1f} min", value=grown, unit="MB", limit=2),
        Row(name="agent CPU at 1 Hz", value=cpu["agent"], unit="% of a core", limit=2),
        Row(name="GET /v1/telemetry, p50", value=latency["agent"], unit="ms", limit=1.5),
    ]
    for peer in peers:
        rows += [
            Row(
                name=f"agent memory against {peer}",
                value=memory["agent"],
                unit="MB",
                peer_name=peer,
                peer=memory[peer],
            ),
            Row(
                name=f"agent CPU against {peer}",
                value=cpu["agent"],
                unit="% of a core",
                peer_name=peer,
                peer=cpu[peer],
            ),
            Row(
                name=f"one read against {peer}",
                value=latency["agent"],
                unit="ms",
                peer_name=peer,
                peer=latency[peer],
            ),
        ]
    return rows


def _check_load(answer: bytes) -> None:
    """The agent must really carry what it is measured with."""
    telemetry = msgspec.json.decode(answer, type=Telemetry)
    known = [sample for sample in telemetry.gpus if sample.utilization_percent is not None]
    measured = [one for one in telemetry.containers if one.memory_used_bytes]
    if (len(known), len(measured)) != (GPUS, CONTAINERS):
        raise RuntimeError(f"{len(known)} GPUs and {len(measured)} containers are measured")


def _floor() -> float:
    code = f"{IMPORTS}\nprint(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[1]) / 1024


def _latencies(subjects: list[Subject]) -> dict[str, float]:
    """Median of interleaved reads, in milliseconds."""
    times: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for _ in range(REQUESTS):
        for subject in subjects:
            started = time.perf_counter()
            subject.read()
            times[subject.name].append((time.perf_counter() - started) * 1000)
    return {name: sorted(values)[len(values) // 2] for name, values in times.items()}


def _wait(subject: Subject) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            subject.read()
        except OSError:
            if time.monotonic() > deadline or subject.process.poll() is not None:
                raise
            time.sleep(0.2)
        else:
            return


@contextlib.contextmanager
def _engine(folder: Path) -> Iterator[DockerEngine]:
    place = folder / "d"
    place.mkdir()
    engine = DockerEngine(Enclosure(place, network=True))
    try:
        engine.start()
        image = engine.load_busybox()
        for number in range(CONTAINERS):
            loop = f"while true; do echo frame {number}; sleep 1; done"
            engine.docker("run", "-d", "--name", f"ingest-{number}", image, "sh", "-c", loop)
        yield engine
    finally:
        engine.close()


@contextlib.contextmanager
def _agent(folder: Path, engine: DockerEngine) -> Iterator[Subject]:
    path = folder / "agent.sock"
    config = folder / "agent.yaml"
    config.write_text(
        f"name: bench\nstate: {folder}/state\noperator_socket: {path}\nadmin_socket: null\n"
        f"viewer_socket: null\nruntime: {engine.url}\n",
        encoding="utf-8",
    )
    stub = folder / "stub"
    stub.mkdir()
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.bench.agent_under_load",
        config,
        stub,
        str(GPUS),
    ]
    environment = {**os.environ, ENVIRONMENT: str(stub / "scenario")}
    connection = _UnixConnection(path)
    with _running(command, environment) as process:
        yield Subject("agent", process, lambda: _get(connection, "/v1/telemetry"))


def _peers() -> list[contextlib.AbstractContextManager[Subject]]:
    return [_glances(), _node_exporter()]


@contextlib.contextmanager
def _glances() -> Iterator[Subject]:
    port = _free_port()
    program = Path(sys.executable).parent.parent.parent / ".venv-bench/bin/glances"
    command: list[str | Path] = [
        program,
        "-w",
        "-t",
        "1",
        "-B",
        "127.0.0.1",
        "-p",
        str(port),
        "--disable-autodiscover",
        "--disable-check-update",
        "-q",
    ]
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with _running(command, dict(os.environ)) as process:
        yield Subject("glances -w", process, lambda: _get(connection, "/api/4/all"))


@contextlib.contextmanager
def _node_exporter() -> Iterator[Subject]:
    port = _free_port()
    program = shutil.which("prometheus-node-exporter") or "node_exporter"
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with _running([program, f"--web.listen-address=127.0.0.1:{port}"], dict(os.environ)) as process:
        yield Subject("node-exporter", process, lambda: _get(connection, "/metrics"))


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise OSError(str(error)) from error


@contextlib.contextmanager
def _running(
    command: Sequence[str | Path], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
