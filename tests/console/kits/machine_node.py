"""A whole machine as a node: a kit is installed on it, and asked for over its real ssh."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from agent.protocol.upgrades import AgentUpgrade, UpgradeRequest
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.kits.hosts import KitHost
from console.kits.reading import Kit
from console.kits.sending import send_kit
from console.link.address import parse_address
from console.link.client import NodeClient
from tests.real.bare_machine import BareMachine

WAIT_SECONDS = 60.0
ENTRY = NodeEntry(name="bare", address="ssh://root-node")


class MachineNode:
    """The machine as a node: asked over its real ssh, as an admin."""

    def __init__(self, machine: BareMachine, folder: Path) -> None:
        self.machine = machine
        fleet = folder / "fleet.yaml"
        fleet.write_text(f"nodes:\n  - name: {ENTRY.name}\n    address: {ENTRY.address}\n")
        self._environment = os.environ | {
            "ROOST_SSH": machine.ssh,
            "ROOST_FLEET": str(fleet),
            "ROOST_STATE": str(folder / "journal"),
            "XDG_RUNTIME_DIR": str(folder),
        }
        self.links = Links(self._environment, owner="test")

    async def roost(self, *words: str) -> str:
        """The command `roost`, with this machine as its fleet; what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "console.cli.main", *words),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaints = await process.communicate()
        assert process.returncode == 0, (said + complaints).decode() + self.journal()
        return said.decode() + ("" if "--json" in words else complaints.decode())

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
