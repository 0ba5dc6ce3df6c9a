"""A host behind the system's ssh: its settings, why ssh ended, and commands that run there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from agent.protocol.problems import ProblemError
from console.link.address import Address
from console.link.deadline import within
from console.link.gate import HandshakeGate
from console.link.problems import unreachable
from console.link.ssh_keys import locked_keys
from console.link.ssh_problems import SSH, command_line, ssh_problem, target
from console.link.ssh_process import SshProcess

HANDSHAKE_TIMEOUT_SECONDS = 30.0
OPTIONS = (
    "-T",
    *("-o", "ControlPath=none"),
    *("-o", "BatchMode=yes"),
    *("-o", "ExitOnForwardFailure=yes"),
    *("-o", "StreamLocalBindUnlink=yes"),
    *("-o", "ServerAliveInterval=5"),
    *("-o", "ServerAliveCountMax=3"),
)
END_PATIENCE_SECONDS = 2.0
# ssh's exit code for its own errors; any other is the remote command's.
OWN_ERROR = 255


class SshHost:
    """Where an `ssh://` address leads, by a node's name."""

    def __init__(
        self,
        node: str,
        address: Address,
        *,
        gate: HandshakeGate,
        program: tuple[str, ...] = SSH,
        timeout: float = HANDSHAKE_TIMEOUT_SECONDS,
    ) -> None:
        self.node, self.address, self.program = node, address, program
        self._gate, self._timeout = gate, timeout
        self._settings: dict[str, list[str]] | None = None

    @property
    def command(self) -> list[str]:
        """ssh to it without a question; what comes after it runs there."""
        return [*self.program, *OPTIONS, *target(self.address)]

    @property
    def typed(self) -> str:
        """ssh to it, as a person types it."""
        return command_line(self.address, self.program)

    async def read(self, command: Sequence[str]) -> bytes:
        """Standard output of a short command on this side; empty where it takes too long."""
        process = await SshProcess.start(command)
        try:
            return await within(self._timeout, process.output())
        except asyncio.TimeoutError:
            return b""
        finally:
            await process.close()

    async def do(
        self,
        command: str,
        *,
        feed: AsyncIterator[bytes] | None = None,
        hear: Callable[[str], None] | None = None,
        timeout: float | None = None,
    ) -> tuple[int, str, str]:
        """Run a command there: its exit status, what it said, and what it complained of.

        Args:
            feed: its standard input.
            hear: gets each line as it comes.
            timeout: seconds for all of it; None: as long as it takes. A host that is silent is
                given up by ssh itself.

        Raises:
            ProblemError: `ssh.*`, `link.unreachable`.
        """
        jump = await self.jump_host()
        async with self._gate.place(jump):
            process = await SshProcess.start([*self.command, command])
        try:
            talking = process.talk(feed, hear)
            said = await (talking if timeout is None else within(timeout, talking))
            await process.ends(patience=END_PATIENCE_SECONDS)
        except asyncio.TimeoutError:
            raise unreachable(
                self.node,
                f"a command there took longer than {timeout:g} s",
                hint=f"Look closer: {self.typed} true",
            ) from None
        finally:
            await process.close()
        if process.exit_code == OWN_ERROR:
            raise await self.why(process)
        return process.exit_code or 0, said, process.complaints

    async def jump_host(self) -> str | None:
        """The first host on the way, where there is one."""
        settings = await self.settings()
        way = settings.get("proxyjump") or settings.get("proxycommand") or ["none"]
        return None if way == ["none"] else way[0].partition(",")[0]

    async def settings(self) -> dict[str, list[str]]:
        """What ssh's own configuration says of this host."""
        if self._settings is None:
            found: dict[str, list[str]] = {}
            output = await self.read([*self.program, "-G", *target(self.address)])
            for line in output.decode("utf-8", "replace").splitlines():
                key, _, value = line.partition(" ")
                found.setdefault(key.lower(), []).append(value)
            self._settings = found
        return self._settings

    async def why(self, process: SshProcess) -> ProblemError:
        """Why ssh ended by itself."""
        await process.close()
        settings = await self.settings()
        agent_keys = (await self.read(["ssh-add", "-L"])).decode("utf-8", "replace")
        locked = await asyncio.to_thread(locked_keys, settings.get("identityfile", []), agent_keys)
        return ssh_problem(
            self.node,
            self.address,
            process.complaints,
            locked=locked,
            settings=settings,
            program=self.program,
        )
