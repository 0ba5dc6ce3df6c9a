"""HAProxy as a process of the test, where no container is needed."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from agent.protocol.workloads import Mode
from agent.traffic import config
from agent.traffic.proxy import Proxy
from agent.traffic.state import Bind, ProxyState, Slot, SlotName
from agent.traffic.traffic import Window


class Processes:
    """A home in which a proxy is a process of the test."""

    def __init__(self, files: Path) -> None:
        self._files = files
        self._process: subprocess.Popen[bytes] | None = None

    async def why_not(self) -> str | None:
        return None

    def folder(self, workload: str) -> str:
        return str(self._files / workload)

    def shown(self, workload: str) -> str:
        return "process"

    async def running(self, workload: str) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self, workload: str) -> None:
        words = ["haproxy", "-db", "-f", f"{self.folder(workload)}/{config.FILE}"]
        self._process = await asyncio.to_thread(subprocess.Popen, words, stderr=subprocess.DEVNULL)

    async def restart(self, workload: str) -> None:
        await self.remove(workload)
        await self.start(workload)

    async def remove(self, workload: str) -> None:
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def last_words(self, workload: str) -> str:
        return ""


def free_port() -> int:
    """One of the loopback that nobody has now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Split:
    """A proxy in front of two servers of this machine."""

    def __init__(self, proxy: Proxy, servers: Mapping[SlotName, int], mode: Mode) -> None:
        self.proxy, self._servers = proxy, servers
        self._bind = Bind(port=free_port(), host_ip="127.0.0.1")
        self._mode = mode

    @property
    def port(self) -> int:
        """Where the proxy listens."""
        return self._bind.port

    async def weigh(self, weight: int) -> None:
        """Percent to the candidate, from now on."""
        shares: dict[SlotName, int] = {"stable": 100 - weight, "candidate": weight}
        state = ProxyState(
            workload="web",
            binds=(self._bind,),
            slots={
                name: Slot(
                    container=name,
                    address="127.0.0.1",
                    ports={self._bind.name: port},
                    weight=shares[name],
                )
                for name, port in self._servers.items()
            },
            modes={} if self._mode == "http" else {self._bind.name: self._mode},
        )
        await self.proxy.put(lambda _: state)

    async def window(self) -> Window:
        """What it saw, read just now."""
        await self.proxy.look_after()
        window = self.proxy.figures()
        assert window is not None
        return window


@asynccontextmanager
async def split(folder: Path, servers: Mapping[SlotName, int], mode: Mode) -> AsyncIterator[Split]:
    """All to the stable one, and both are reached."""
    home = Processes(folder)
    made = Split(Proxy("web", folder / "web", home, ipv6=False), servers, mode)
    try:
        await made.weigh(0)
        for name in servers:
            while await made.proxy.unreached(name) is not None:  # noqa: ASYNC110 - as good
                await asyncio.sleep(0.05)
        yield made
    finally:
        await made.proxy.stop()
        await home.remove("web")
