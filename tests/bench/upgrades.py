"""The agent on a machine: how long its API is away for an upgrade, and what containers notice."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from console.kits.making import make_kit
from console.kits.reading import Kit, read_kit
from tests.agent.upgrades.versions import Versions
from tests.bench.table import Row
from tests.console.kits.machine_node import MachineNode
from tests.kits_made import other_version
from tests.real.bare_machine import BareMachine
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

PYTHON = "3.13"  # of the machine
AWAY_LIMIT_SECONDS = 3.0
LOOK_SECONDS = 0.02
_QUESTION = b"GET /v1/agent/upgrade HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
SERVES = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")


def run(*, short: bool) -> list[Row]:
    """Upgrades of a real kit on a bare machine, and of two versions beside a real Docker Engine."""
    return [*_away(1 if short else 3), _restarted(2 if short else 10)]


def _away(rounds: int) -> list[Row]:
    """The longest that nobody answers, and that no change is taken, over so many upgrades."""
    with tempfile.TemporaryDirectory(prefix="rk", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        path, _ = make_kit(
            folder, arch=os.uname().machine, pythons=(PYTHON,), say=lambda _line: None
        )
        kits = [read_kit(path), read_kit(other_version(path, folder, "9.0"))]
        machine = BareMachine(_enclosure(stack, folder / "m"), "machine-trixie")
        machine.boot()
        node = MachineNode(machine, folder / "m")
        asyncio.run(node.install(kits[0]))
        answers, changes = 0.0, 0.0
        for number in range(rounds):
            watch = _Watch(machine.path("/run/roost/admin.sock"))
            with watch.watching():
                asyncio.run(_upgrade(node, kits[(number + 1) % 2]))
            answers, changes = max(answers, watch.unanswered), max(changes, watch.unchanged)
    return [
        Row(
            name=f"agent upgrade: the API is away (longest of {rounds})",
            value=answers,
            unit="s",
            limit=AWAY_LIMIT_SECONDS,
        ),
        Row(name="the same, until it takes changes again", value=changes, unit="s"),
    ]


async def _upgrade(node: MachineNode, kit: Kit) -> None:
    job = await node.begin(kit)
    await node.shows(kit, on_trial=True)
    async with node.client() as client:
        await client.upgrades.confirm(kit.about.id)
    ended = await node.ended(job)
    if ended.state != "succeeded":
        raise RuntimeError(f"the upgrade did not succeed: {ended}")


class _Watch:
    """Asks a socket over and over: for how long at most nobody answered, or it was on trial."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.unanswered = self.unchanged = 0.0
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        answered = changed = time.monotonic()
        while not self._over.is_set():
            state = self._ask()
            now = time.monotonic()
            if state is not None:
                self.unanswered, answered = max(self.unanswered, now - answered), now
                if state == "settled":
                    self.unchanged, changed = max(self.unchanged, now - changed), now
            time.sleep(LOOK_SECONDS)

    def _ask(self) -> str | None:
        """By hand: what asks so often must cost next to nothing beside what it measures."""
        said = b""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self._path))
                connection.sendall(_QUESTION)
                while data := connection.recv(65536):
                    said += data
            except OSError:
                return None
        if b" 200 " not in said.split(b"\r\n")[0]:
            return None
        return "trial" if b'"on_trial":true' in said else "settled"


def _restarted(containers: int) -> Row:
    """Of so many containers those that were started anew, or are gone."""
    with tempfile.TemporaryDirectory(prefix="rk", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        engine = DockerEngine(_enclosure(stack, folder / "e"))
        engine.start()
        engine.load_busybox()
        names = [f"c{number}" for number in range(containers)]
        for each in names:
            engine.docker("run", "-d", "--name", each, IMAGE, *SERVES)
        (folder / "a").mkdir()
        versions = Versions(folder / "a", runtime=engine.url)
        stack.callback(versions.close)
        versions.agent.start()
        before = [_seen(engine, each) for each in names]
        versions.add("b-2")
        job = versions.begin("b-2")
        versions.tried("b-2")
        versions.ask("POST", "/v1/agent/upgrade/confirm", {"id": "b-2"})
        if versions.ended(job)["state"] != "succeeded":
            raise RuntimeError("the upgrade did not succeed")
        after = [_seen(engine, each) for each in names]
    other = sum(one != two for one, two in zip(before, after, strict=True))
    return Row(
        name=f"agent upgrade beside {containers} containers: restarted",
        value=other,
        unit="containers",
        limit=0,
    )


def _seen(engine: DockerEngine, name: str) -> str:
    return engine.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name)


def _enclosure(stack: ExitStack, folder: Path) -> Enclosure:
    folder.mkdir()
    enclosure = Enclosure(folder, network=True)
    stack.callback(enclosure.close)
    return enclosure
