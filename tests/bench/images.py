"""Images: a first load, an update and a bad link, beside what people use today."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from tests.agent_process import AgentProcess
from tests.bench.archives import write_archive, write_layer, write_noise
from tests.bench.sampled import MemoryGrowth, PeakDisk
from tests.bench.table import Row
from tests.bench.wire import Wire, wire
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure
from tests.real.ssh_server import SshServer

ROOST = Path(sys.executable).with_name("roost")
MEGABYTE = 10**6
LINK_BYTES_PER_SECOND = 20 * MEGABYTE // 8
CUTS = 5
REGISTRY = "localhost:5000"


def run(*, short: bool) -> list[Row]:
    """Measure all; `short` with an image of a tenth of the size."""
    size, new = (60 * MEGABYTE, 2 * MEGABYTE) if short else (600 * MEGABYTE, 20 * MEGABYTE)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ri")))
        first, second = _archives(folder, size, new)
        ours = stack.enter_context(_engine(folder / "a"))
        theirs = stack.enter_context(_engine(folder / "b"))
        server = stack.enter_context(_sshd(folder / "s"))
        (folder / "g").mkdir()
        agent = stack.enter_context(AgentProcess(folder / "g", {"runtime": ours.url}))
        rows = _first_load(agent, ours, theirs, first.archive)
        rows += _update(agent, theirs, server, second, new)
        rows += _bad_link(agent, ours, server, folder, 15 * MEGABYTE if short else 200 * MEGABYTE)
    return rows


class _Made:
    """An archive, and the size of its newest layer as it goes over the wire."""

    def __init__(self, archive: Path, newest: Path) -> None:
        self.archive = archive
        compressed = zstandard.ZstdCompressor(level=3).compress(newest.read_bytes())
        self.newest_bytes = len(compressed)


def _archives(folder: Path, size: int, new: int) -> tuple[_Made, _Made]:
    """Two versions of an image in which only the uppermost layer differs."""
    base = []
    for number in range(8):
        path = folder / f"base{number}"
        base.append((path, write_layer(path, (size - new) // 8, f"base{number}")))
    made = []
    for version in ("1", "2"):
        top = folder / f"top{version}"
        archive = folder / f"app-{version}.tar"
        write_archive(
            archive, [*base, (top, write_layer(top, new, f"top{version}"))], f"bench/app:{version}"
        )
        made.append(_Made(archive, top))
    return made[0], made[1]


def _first_load(
    agent: AgentProcess, ours: DockerEngine, theirs: DockerEngine, archive: Path
) -> list[Row]:
    os.sync()  # what was written before is nobody's time
    with PeakDisk(theirs.data) as their_disk:
        started = time.monotonic()
        theirs.docker("load", "--input", str(archive), seconds=600)
        their_seconds = time.monotonic() - started
    assert agent.process is not None
    state = agent.folder / "state"
    fleet = _fleet(agent.folder, f"unix://{agent.sockets['operator']}")
    os.sync()
    with PeakDisk(ours.data, state) as our_disk, MemoryGrowth(agent.process.pid) as memory:
        started = time.monotonic()
        [result] = _push(fleet, archive)
        our_seconds = time.monotonic() - started
    sent = result["sent_bytes"]
    return [
        Row(
            name="first load on loopback, against docker load",
            value=our_seconds / their_seconds,
            unit="times",
            limit=1.8,
            peer_name=f"docker load: {their_seconds:.1f} s, roost: {our_seconds:.1f} s; itself",
            peer=1.0,
        ),
        Row(name="  agent's memory growth", value=memory.growth_mib, unit="MB", limit=30),
        Row(
            name="  peak disk beyond docker load's, of the blobs sent",
            value=(our_disk.bytes - their_disk.bytes) / sent,
            unit="times",
            limit=1.1,
        ),
    ]


def _update(
    agent: AgentProcess, theirs: DockerEngine, server: SshServer, second: _Made, new: int
) -> list[Row]:
    with wire(server.port) as ours:
        fleet = _fleet(agent.folder, f"ssh://node{agent.sockets['operator']}")
        _push(fleet, second.archive, ssh=_ssh(agent.folder, server, ours))
    with wire(server.port) as save:
        # The second version is not there yet; its other layers are.
        theirs.docker("load", "--input", str(second.archive), seconds=600)
        _save_and_load(agent.folder, theirs, server, save)
    rows = [
        Row(
            name=f"update of one layer of {new // MEGABYTE} MB, on the wire",
            value=ours.sent / MEGABYTE,
            unit="MB",
            limit=(1.02 * second.newest_bytes + 64 * 1024) / MEGABYTE,
            peer_name="docker save | ssh | docker load",
            peer=save.sent / MEGABYTE,
        )
    ]
    pulled = _pull_bytes(theirs)
    return [
        *rows,
        Row(
            name="  the same against a pull from a registry",
            value=ours.sent / MEGABYTE,
            unit="MB",
            peer_name="docker pull",
            peer=pulled / MEGABYTE,
        ),
    ]


def _bad_link(
    agent: AgentProcess, ours: DockerEngine, server: SshServer, folder: Path, size: int
) -> list[Row]:
    layer = folder / "noise"
    diff_id = write_noise(layer, size)
    archive = folder / "noise.tar"
    write_archive(archive, [(layer, diff_id)], "bench/noise:1")
    needed = len(zstandard.ZstdCompressor(level=3).compress(layer.read_bytes()))
    cuts = tuple(needed * (number + 1) // (CUTS + 1) for number in range(CUTS))
    with wire(server.port, rate=LINK_BYTES_PER_SECOND, cuts=cuts) as link:
        fleet = _fleet(agent.folder, f"ssh://node{agent.sockets['operator']}")
        started = time.monotonic()
        _push(fleet, archive, ssh=_ssh(agent.folder, server, link))
        seconds = time.monotonic() - started
        assert link.cut_count == CUTS
    return [
        Row(
            name=f"20 Mbit/s cut {CUTS} times, {size // MEGABYTE} MB: time over bytes/rate",
            value=seconds / (needed / LINK_BYTES_PER_SECOND),
            unit="times",
            limit=1.1,
        ),
        Row(
            name="  sent again, each cut",
            value=max(0, link.sent - needed) / CUTS / 2**20,
            unit="MiB",
            limit=1.0,
        ),
    ]


def _push(fleet: Path, archive: Path, *, ssh: str = "") -> list[dict[str, Any]]:
    """`roost image push` to the one node of the fleet."""
    home = fleet.parent
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_RUNTIME_DIR": str(home),
        **({"ROOST_SSH": ssh} if ssh else {}),
    }
    done = subprocess.run(
        [ROOST, "--fleet", fleet, "image", "push", archive, "--to", "@bench", "--json"],
        env=environment,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _fleet(folder: Path, address: str) -> Path:
    file = folder / "fleet.yaml"
    file.write_text(f"nodes:\n  - name: bench\n    address: {address}\n", encoding="utf-8")
    return file


def _ssh(folder: Path, server: SshServer, link: Wire) -> str:
    """The ssh command that goes through the wire."""
    config = folder / "ssh_config"
    # The wire has another port, under which nobody knows the host's key.
    known = "Host node\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"
    text = server.config.read_text(encoding="utf-8")
    text = known + text.replace(f"Port {server.port}", f"Port {link.port}")
    config.write_text(text, encoding="utf-8")
    return f"ssh -F {config}"


def _save_and_load(folder: Path, engine: DockerEngine, server: SshServer, link: Wire) -> None:
    """`docker save | ssh node docker load`, through the wire."""
    ssh = _ssh(folder, server, link).split()
    load = f"DOCKER_HOST={engine.url} docker load"
    with subprocess.Popen(
        ["docker", "save", "bench/app:2"],
        env={**os.environ, "DOCKER_HOST": engine.url},
        stdout=subprocess.PIPE,
    ) as save:
        subprocess.run(
            [*ssh, "-o", "BatchMode=yes", "node", load],
            stdin=save.stdout,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _pull_bytes(engine: DockerEngine) -> int:
    """Bytes on the loopback of the engine's network while it pulls the second version."""
    config = engine.folder / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\nhttp: {addr: 127.0.0.1:5000}\n"
        f"storage: {{filesystem: {{rootdirectory: {engine.folder}/registry}}}}\n"
    )
    engine.enclosure.start(
        ["docker-registry", "serve", str(config)], log=engine.folder / "registry.log"
    )
    time.sleep(2)
    for version in ("1", "2"):
        engine.docker("tag", f"bench/app:{version}", f"{REGISTRY}/app:{version}")
        engine.docker("push", "--quiet", f"{REGISTRY}/app:{version}", seconds=600)
        engine.docker("rmi", f"{REGISTRY}/app:{version}", f"bench/app:{version}")
    engine.docker("pull", "--quiet", f"{REGISTRY}/app:1", seconds=600)
    before = _loopback_bytes(engine)
    engine.docker("pull", "--quiet", f"{REGISTRY}/app:2", seconds=600)
    return _loopback_bytes(engine) - before


def _loopback_bytes(engine: DockerEngine) -> int:
    for line in engine.enter("cat", "/proc/net/dev").stdout.splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == "lo":
            return int(figures.split()[0])
    raise RuntimeError("no loopback")


@contextlib.contextmanager
def _engine(folder: Path) -> Iterator[DockerEngine]:
    folder.mkdir()
    enclosure = Enclosure(folder, network=True)
    try:
        engine = DockerEngine(enclosure)
        engine.start()
        yield engine
    finally:
        enclosure.close()


@contextlib.contextmanager
def _sshd(folder: Path) -> Iterator[SshServer]:
    folder.mkdir()
    enclosure = Enclosure(folder, network=False)
    try:
        server = SshServer(enclosure)
        server.start()
        yield server
    finally:
        enclosure.close()
