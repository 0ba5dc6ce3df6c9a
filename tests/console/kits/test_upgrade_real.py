"""An installed agent becomes another version, or goes back, on a whole machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from agent.protocol.upgrades import AgentUpgrade, UpgradeRequest
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.kits.hosts import KitHost
from console.kits.making import make_kit
from console.kits.reading import Kit, read_kit
from console.kits.sending import send_kit
from console.link.address import parse_address
from console.link.client import NodeClient
from tests.broken_kits import DATABASE, broken_kit, newer_schema
from tests.kits_made import other_version, small_kit
from tests.real.bare_machine import BareMachine
from tests.real.fixtures import MachineFactory

pytestmark = [pytest.mark.real, pytest.mark.runtimes, pytest.mark.timeout(300)]

PYTHON = "3.13"  # of trixie
WAIT_SECONDS = 60.0
ENTRY = NodeEntry(name="bare", address="ssh://root-node")


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real kit for the machine's Python."""
    folder = tmp_path_factory.mktemp("kits")
    make_kit(folder, arch=os.uname().machine, pythons=(PYTHON,), say=lambda _line: None)
    return folder


@pytest.fixture
def first(kits: Path) -> Kit:
    return read_kit(next(kits.glob("roost-agent-*.pyz")))


class Node:
    """The machine as a node: asked over its real ssh, as an admin."""

    def __init__(self, machine: BareMachine, folder: Path) -> None:
        self.machine = machine
        environment = os.environ | {"ROOST_SSH": machine.ssh, "XDG_RUNTIME_DIR": str(folder)}
        self.links = Links(environment, owner="test")

    async def install(self, kit: Kit) -> None:
        host = KitHost(self.links.host(ENTRY.name, parse_address(ENTRY.address)))
        look = await host.look()
        place = await host.copy(kit, copied=lambda _at: None)
        await host.install(place, look, hear=lambda _line: None)
        await self.shows(kit, on_trial=False)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[NodeClient]:
        client = self.links.client(ENTRY, admin=True)
        try:
            yield client
        finally:
            await client.close()

    async def shown(self) -> AgentUpgrade:
        async with self.client() as client:
            return await client.upgrades.show()

    async def shows(self, kit: Kit, *, on_trial: bool) -> AgentUpgrade:
        """Wait until that kit's agent answers so."""
        seen: object = None
        for _ in range(int(WAIT_SECONDS / 0.2)):
            try:
                shown = await self.shown()
                if (shown.kit, shown.on_trial) == (kit.about.id, on_trial):
                    return shown
                seen = shown
            except ProblemError as problem:
                seen = problem.detail
            await asyncio.sleep(0.2)
        raise AssertionError(f"{seen}\n{self.journal()}")

    async def begin(self, kit: Kit, *, within: float = 60.0) -> Job:
        async with self.client() as client:
            await send_kit(client, kit, sent=lambda _at: None)
            request = UpgradeRequest(
                kit=f"sha256:{kit.sha256}", id=kit.about.id, within_seconds=within
            )
            return await client.upgrades.begin(request, secrets.token_hex(8))

    async def ended(self, job: Job) -> Job:
        seen: object = None
        for _ in range(int(WAIT_SECONDS / 0.2)):
            try:
                async with self.client() as client:
                    seen = now = await client.job(job.id)
                if now.state in ENDED:
                    return now
            except ProblemError as problem:
                seen = problem.detail
            await asyncio.sleep(0.2)
        raise AssertionError(f"{seen}\n{self.journal()}")

    async def staged(self, job: Job, stage: str) -> None:
        """Wait until the job is in that stage."""
        for _ in range(int(WAIT_SECONDS / 0.1)):
            async with self.client() as client:
                now = await client.job(job.id)
            if now.stage == stage:
                return
            assert now.state not in ENDED, now
            await asyncio.sleep(0.1)
        raise AssertionError(self.journal())

    @property
    def current(self) -> str:
        return self.machine.path("/opt/roost/current").readlink().name

    def cut(self) -> None:
        """The power, and it comes back."""
        self.machine.power_cut()
        self.machine.boot()

    def journal(self) -> str:
        return self.machine.tried("journalctl", "-u", "roost-agent", "-n", "80").stdout

    def agents(self) -> list[str]:
        """The versions of which an agent runs now."""
        found = self.machine.tried("pgrep", "-af", "roost-agent serve").stdout
        return [line.split("/opt/roost/")[1].split("/")[0] for line in found.splitlines()]


@pytest.fixture
def node(machine_factory: MachineFactory, short_folder: Path) -> Node:
    return Node(machine_factory("machine-trixie"), short_folder)


async def test_an_upgrade_is_tried_confirmed_and_then_current(
    node: Node, first: Kit, kits: Path
) -> None:
    await node.install(first)
    second = read_kit(other_version(first.path, kits, "9.0", {DATABASE: newer_schema}))
    main = node.machine.enter("systemctl", "show", "-P", "MainPID", "roost-agent")
    job = await node.begin(second)
    shown = await node.shows(second, on_trial=True)
    assert shown.job == job.id
    assert node.current == first.about.id
    async with node.client() as client:
        facts = await client.node()
        assert facts.agent.version == "9.0"
        await client.upgrades.confirm(second.about.id)
    ended = await node.ended(job)
    assert ended.state == "succeeded", ended
    assert node.current == second.about.id
    # systemd saw nothing of it, who is no root may call the new one, and the old schema is kept.
    assert node.machine.enter("systemctl", "show", "-P", "MainPID", "roost-agent") == main
    assert node.machine.enter("systemctl", "show", "-P", "NRestarts", "roost-agent") == "0\n"
    told = node.machine.enter("runuser", "-u", "field", "--", "roost-agent", "version")
    assert told.startswith("roost-agent 9.0 ")
    assert node.machine.path("/var/lib/roost/agent.db.before").is_file()


async def test_six_broken_kits_leave_the_agent_that_was(
    node: Node, first: Kit, kits: Path, tmp_path: Path
) -> None:
    await node.install(first)
    whole = small_kit(tmp_path, version="2.0")
    truncated = tmp_path / "truncated"
    truncated.write_bytes(whole.read_bytes()[:-100])
    for path, code in (
        (small_kit(tmp_path, version="2.1", wheel=b"not what the list says"), "kit.broken"),
        (truncated, "kit.broken"),
        (small_kit(tmp_path, version="2.2", arch="s390x"), "kit.arch"),
    ):
        about = read_kit(whole if path == truncated else path).about
        kit = Kit(path, about, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        ended = await node.ended(await node.begin(kit))
        assert ended.problem is not None, path
        assert ended.problem.code == code
    assert (await node.shown()).last is None  # nothing was ever started
    for number, (how, why) in enumerate(
        (
            ("crashes at import", "No module named 'there_is_no_such_module'"),
            ("cannot read the database", "a newer agent wrote the database"),
            ("changes the schema and hangs", "it was not confirmed within 4 s"),
        )
    ):
        kit = read_kit(broken_kit(first.path, kits, how, f"5.{number}"))
        job = await node.begin(kit, within=60.0 if "hangs" not in how else 4.0)
        ended = await node.ended(job)
        assert ended.problem is not None, how
        assert (ended.problem.code, why in ended.problem.detail) == ("upgrade.returned", True)
        await node.shows(first, on_trial=False)
        assert node.agents() == ["current"]
        assert not node.machine.path(f"/opt/roost/{kit.about.id}").exists()
    assert not node.machine.path("/var/lib/roost/agent.db.before").exists()


async def test_after_a_power_cut_at_any_step_one_agent_works(
    node: Node, first: Kit, kits: Path
) -> None:
    await node.install(first)
    second = read_kit(other_version(first.path, kits, "9.0"))
    job = await node.begin(second)
    await node.staged(job, "unpacking")
    node.cut()
    # It goes on by itself, as any job that can.
    await node.shows(second, on_trial=True)
    node.cut()
    await node.shows(second, on_trial=True)
    assert node.current == first.about.id
    async with node.client() as client:
        await client.upgrades.confirm(second.about.id)
    node.cut()
    await node.shows(second, on_trial=False)
    assert (await node.ended(job)).state == "succeeded"
    assert node.current == second.about.id
    assert node.agents() == ["current"]
