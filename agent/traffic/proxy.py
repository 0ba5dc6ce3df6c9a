"""One workload's proxy: written, run, told, read back."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.durable import sync_folder, write_whole
from agent.protocol.arms import ArmName
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Mode
from agent.traffic.admin import Admin, Process, Server
from agent.traffic.config import (
    ADMIN_SOCKET,
    FILE,
    LOG_SOCKET,
    Written,
    endpoint,
    read,
    rendered,
)
from agent.traffic.homes import Home
from agent.traffic.lines import answer_of
from agent.traffic.listening import LogListener
from agent.traffic.problems import not_as_told, not_started
from agent.traffic.state import Bind, ProxyState, SlotName
from agent.traffic.tally import ARMS, Tally
from agent.traffic.telling import commands, differences, other_ports
from agent.traffic.traffic import Window

ANSWER_SECONDS = 15.0
# One that runs and was not just started answers at once.
DEAF_SECONDS = 3.0
LOOK_SECONDS = 0.05
# In which HAProxy has looked once at each of its servers, a new one too.
CHECK_SECONDS = 1.5
TELL_TRIES = 3

log = logging.getLogger(__name__)


class Proxy:
    """The HAProxy of one workload. For one event loop.

    Args:
        files: its own folder.
        ipv6: whether the machine has IPv6.
    """

    def __init__(self, workload: str, files: Path, home: Home, *, ipv6: bool) -> None:
        self.workload = workload
        self.state: ProxyState | None = None
        self._files, self._home, self._ipv6 = files, home, ipv6
        self._admin = Admin(workload, files / ADMIN_SOCKET)
        self._tally = Tally()
        self._listener = LogListener(files / LOG_SOCKET, self._took)
        self._listening = False
        self._process: Process | None = None
        self._unknown: str | None = None
        self._told_at = 0.0  # when an address or a weight was told last
        self._changing = asyncio.Lock()

    async def take_up(self) -> None:
        """Go on from the file of a former agent. Raises OSError."""
        written = await asyncio.to_thread(self._read)
        if written is not None:
            self.state = written.state
            self._count_anew()
            await self._listen()

    async def put(self, make: Callable[[ProxyState | None], ProxyState | None]) -> None:
        """Have it be what `make` makes of what it is; None: as it is.

        Raises:
            ProblemError: `traffic.*`, `runtime.*`; what it shall be is in the file, then.
        """
        async with self._changing:
            before = self.state
            state = make(before)
            if state is None:
                return
            text = rendered(state, folder=self._home.folder(self.workload), ipv6=self._ipv6)
            await asyncio.to_thread(self._write, text)
            self.state = state
            if before is None or _shares(before) != _shares(state):
                self._count_anew()
            await self._listen()
            await self._have_it_so(state, must=True)

    async def look_after(self) -> None:
        """Have the proxy do what is in the file, and read its counters. Raises as `put`."""
        async with self._changing:
            if self.state is None:
                return
            try:
                await self._have_it_so(self.state, must=False)
                self._tally.look(await self._admin.counters())
            except ProblemError as problem:
                self._unknown = problem.detail
                raise
            self._unknown = None

    async def unreached(self, slot: SlotName) -> str | None:
        """Why no connection to a slot's container can be made; None: it can."""
        state = self.state
        if state is None or slot not in state.slots:
            return "it has no place in the proxy"
        if asyncio.get_running_loop().time() - self._told_at < CHECK_SECONDS:
            return "the proxy has not looked yet"
        servers = await self._admin.servers()
        for bind in state.binds:
            server = servers.get((state.backend(bind), slot))
            if server is None or server.off or not (server.up and server.checked):
                return _nobody_at(state, slot, bind)
        return None

    async def refuses(self, slot: SlotName) -> str | None:
        """That its checks fail, again and again; None: they do not, or it has not looked yet.

        Raises:
            ProblemError: `traffic.no_answer`.
        """
        state = self.state
        if state is None or slot not in state.slots:
            return None
        if asyncio.get_running_loop().time() - self._told_at < CHECK_SECONDS:
            return None
        servers = await self._admin.servers()
        for bind in state.binds:
            server = servers.get((state.backend(bind), slot))
            # One that HAProxy has just begun with counts as up until its checks fail.
            if server is not None and not server.off and not server.up:
                return _nobody_at(state, slot, bind)
        return None

    async def sessions(self, slot: SlotName) -> int:
        """How many requests of a slot go on. Raises ProblemError `traffic.no_answer`."""
        counters = await self._admin.counters()
        return sum(each.sessions for (_, name), each in counters.items() if name == slot)

    async def wrong(self) -> list[str]:
        """How it differs from what is written, in words."""
        written = await asyncio.to_thread(self._read)
        if self.state is None:
            return []
        found = []
        if written is None:
            found.append(f"its configuration {self._files / FILE} is gone, or is not Roost's")
        elif written.by_hand:
            found.append(f"its configuration {self._files / FILE} was changed by hand")
        try:
            found += differences(self.state, await self._admin.servers())
        except ProblemError as problem:
            found.append(problem.detail)
        return found

    async def remove(self) -> None:
        """It is no more, and its ports are free. Raises ProblemError `traffic.*`, `runtime.*`."""
        async with self._changing:
            await self._home.remove(self.workload)
            await self._silence()
            await asyncio.to_thread(shutil.rmtree, self._files, ignore_errors=True)
            self.state = None
            self._tally.end()

    async def stop(self) -> None:
        """The agent ends, the proxy goes on."""
        await self._silence()

    def figures(self) -> Window | None:
        """What it saw in this window."""
        modes = {} if self.state is None else self.state.by_port
        return self._tally.window(unknown=self._unknown, modes=modes)

    async def _have_it_so(self, state: ProxyState, *, must: bool) -> None:
        """Start it, start it anew, or tell it what differs.

        Args:
            must: one that runs and does not answer is started anew: what it shall be has changed.
        """
        if not await self._home.running(self.workload):
            await self._home.start(self.workload)
            servers = await self._until_it_answers(ANSWER_SECONDS)
        else:
            servers = await self._answer(must=must)
        if other_ports(state, servers):
            servers = await self._started_anew()
        for _ in range(TELL_TRIES):
            if not differences(state, servers):
                return
            await self._admin.tell(commands(state, servers))
            self._told_at = asyncio.get_running_loop().time()
            servers = await self._admin.servers()
        if wrong := differences(state, servers):
            raise not_as_told(self.workload, wrong)

    async def _answer(self, *, must: bool) -> Mapping[tuple[str, str], Server]:
        """Of one that runs: its servers. Raises ProblemError."""
        try:
            return await self._until_it_answers(DEAF_SECONDS)
        except ProblemError as problem:
            if not must:
                raise
            log.warning("%s; it is started anew", problem.detail)
        return await self._started_anew()

    async def _started_anew(self) -> Mapping[tuple[str, str], Server]:
        await self._home.restart(self.workload)
        return await self._until_it_answers(ANSWER_SECONDS)

    async def _until_it_answers(self, seconds: float) -> Mapping[tuple[str, str], Server]:
        """Its servers. Raises ProblemError `traffic.not_started`."""
        until = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                process = await self._admin.process()
                if process != self._process:
                    if self._process is not None:
                        self._tally.restarted()
                    self._process, self._told_at = process, asyncio.get_running_loop().time()
                return await self._admin.servers()
            except ProblemError as problem:
                if asyncio.get_running_loop().time() >= until:
                    words = await self._home.last_words(self.workload)
                    why = f"{problem.detail}; its last words: {words}" if words else problem.detail
                    raise not_started(self.workload, why) from problem
            await asyncio.sleep(LOOK_SECONDS)

    def _count_anew(self) -> None:
        if self.state is None:
            return
        shares = {name: self.state.slots[name].weight for name in ARMS if name in self.state.slots}
        arms: tuple[ArmName, ...] = tuple(name for name in ARMS if name in shares)
        whole = sum(shares.values())
        weight = round(100 * shares.get("candidate", 0) / whole) if whole else 0
        self._tally.begin(weight, arms)

    def _took(self, line: bytes) -> None:
        answer = answer_of(line)
        if answer is not None:
            self._tally.take(answer)

    async def _listen(self) -> None:
        if not self._listening:
            await self._listener.start()
            self._listening = True

    async def _silence(self) -> None:
        if self._listening:
            await self._listener.stop()
            self._listening = False

    def _read(self) -> Written | None:
        try:
            return read((self._files / FILE).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            return None

    def _write(self, text: str) -> None:
        """Durable, the folder too; nothing where it says so already."""
        file = self._files / FILE
        if not self._files.is_dir():
            self._files.mkdir(mode=0o755, parents=True)
            sync_folder(self._files.parent)
        if not file.is_file() or file.read_text(encoding="utf-8", errors="replace") != text:
            write_whole(file, text.encode())


def _nobody_at(state: ProxyState, slot: SlotName, bind: Bind) -> str:
    there = endpoint(state.slots[slot], bind)
    return "it does not run" if there is None else f"nobody answers at {there[0]}:{there[1]}"


def _shares(state: ProxyState) -> tuple[Mapping[str, tuple[str, int]], Mapping[str, Mode]]:
    """What makes figures of one moment comparable with those of another."""
    return {name: (each.container, each.weight) for name, each in state.slots.items()}, state.modes
