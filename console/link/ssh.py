"""The system's OpenSSH as the way: keys, ProxyJump and known_hosts are the user's own.

Three ways, tried in this order:
- a forwarded socket beside a session that says `ready` and ends with us. With the session a
  small request takes 1 ms, without it 44 ms.
- the same with -N, for an account without a shell.
- `roost-agent dial-stdio`, one ssh for each connection, where forwarding is refused.

An admin's calls go only by `sudo roost-agent dial-stdio`: the socket is root's alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from agent.protocol.problems import ProblemError
from agent.rules.service import LOG_HINT
from console.link.address import ADMIN_SOCKET, AGENT_SOCKET, Address
from console.link.connection import Connection, CutError
from console.link.deadline import within
from console.link.folder import socket_path
from console.link.gate import HandshakeGate
from console.link.link import LinkKind
from console.link.problems import unreachable
from console.link.ssh_host import HANDSHAKE_TIMEOUT_SECONDS, OPTIONS, OWN_ERROR, SshHost
from console.link.ssh_look import Seen, question, read_answer
from console.link.ssh_problems import (
    SSH,
    no_agent,
    no_dial,
    no_forwarding,
    no_sudo,
    not_in_group,
    target,
)
from console.link.ssh_process import SshProcess, bound_to_us

# ssh makes the socket once it has logged in. A session that has not said `ready` so long after
# that is one with a command of its own, and does not matter.
SILENT_SESSION_SECONDS = 5.0
POLL_SECONDS = 0.05
# A socket is there a moment before it is listened on.
CONNECT_TRIES = 3
# The complaint and the end of the connection come on different ways.
COMPLAINT_PATIENCE_SECONDS = 1.0


class SshLink:
    """`ssh://[user@]host[:port]`."""

    kind: LinkKind = "ssh"

    def __init__(
        self,
        node: str,
        address: Address,
        *,
        folder: Callable[[], Path],
        gate: HandshakeGate,
        program: tuple[str, ...] = SSH,
        timeout: float = HANDSHAKE_TIMEOUT_SECONDS,
        admin: bool = False,
    ) -> None:
        self._node = node
        self._address = address
        self._folder = folder
        self._socket = Path()  # of the tunnel
        self._gate = gate
        self._program = program
        self._host = SshHost(node, address, gate=gate, program=program, timeout=timeout)
        self._timeout = timeout
        self._admin = admin
        self._way: Literal["session", "no_shell", "stdio"] = "stdio" if admin else "session"
        self._tunnel: SshProcess | None = None
        self._dialled: list[SshProcess] = []
        self._seen = Seen()
        self._starting = asyncio.Lock()

    async def connect(self) -> Connection:
        """Raises ProblemError `ssh.*`, `link.unreachable` or `link.socket_path`."""
        async with self._starting:
            if self._way == "stdio":
                return await self._dial()
            if self._tunnel is None or self._tunnel.exit_code is not None:
                await self._open_tunnel()
        for _ in range(CONNECT_TRIES):
            try:
                return Connection(*await asyncio.open_unix_connection(self._socket))
            except ConnectionRefusedError:
                await asyncio.sleep(POLL_SECONDS)
            except OSError:
                break
        raise unreachable(self._node, "the tunnel has just closed", hint="Try again.")

    async def explain(self, cut: CutError) -> ProblemError | None:
        """Look for the reason on the host; may change the way."""
        if self._way == "stdio":
            return await self._explain_dial()
        tunnel = self._tunnel
        if tunnel is None or not await tunnel.complains(
            "open failed", patience=COMPLAINT_PATIENCE_SECONDS
        ):
            return unreachable(
                self._node,
                str(cut),
                hint=f"{LOG_HINT}: {self._host.typed}",
            )
        if tunnel.exit_code is not None:
            return await self._host.why(tunnel)
        tunnel.forget_complaints()
        # sshd answers alike whether the socket is missing, dead or not for us, or forwarding is
        # off.
        seen = self._seen = await self._look()
        if seen.asked and not seen.there:
            return self._no_agent(f"there is no {self._address.path}")
        if seen.asked and not seen.yours:
            return not_in_group(self._node, self._address, self._program)
        if seen.listens is False:
            return self._no_agent(f"nobody listens on {self._address.path}")
        if seen.listens and await self._forwards(tunnel):
            return None  # the agent has just come
        if self._way == "no_shell" and not seen.asked:
            return no_dial(self._node, self._address, "the account has no shell", forwarded=True)
        await self._close_tunnel()
        self._way = "stdio"
        return None

    async def close(self) -> None:
        await self._close_tunnel()
        for process in self._dialled:
            await process.close()
        self._dialled.clear()

    def _new_socket(self) -> Path:
        # Two links to one address may live side by side for a moment.
        name = hashlib.sha256(f"{id(self)} {self._address}".encode()).hexdigest()[:12]
        return socket_path(self._folder(), name)

    async def _open_tunnel(self) -> None:
        await self._close_tunnel()
        self._socket = await asyncio.to_thread(self._new_socket)
        forward = ("-L", f"{self._socket}:{self._address.path}")
        where = target(self._address)
        session = [*self._program, *OPTIONS, *forward, *where, "echo ready; cat"]
        if self._way == "session":
            tunnel = await self._handshake(session, patience=SILENT_SESSION_SECONDS)
            if tunnel.exit_code is None:
                self._tunnel = tunnel
                return
            if tunnel.exit_code == OWN_ERROR:
                raise await self._host.why(tunnel)
        silent = [*self._program, *OPTIONS, *forward, "-N", *where]
        tunnel = await self._handshake(await asyncio.to_thread(bound_to_us, silent), patience=0.0)
        if tunnel.exit_code is not None:
            raise await self._host.why(tunnel)
        self._way = "no_shell"
        self._tunnel = tunnel

    async def _handshake(self, command: list[str], *, patience: float) -> SshProcess:
        """Run ssh until it is up or has ended.

        It is up when the session says so, or `patience` seconds after its socket is there.
        """
        jump = await self._host.jump_host()
        async with self._gate.place(jump):
            await asyncio.to_thread(self._socket.unlink, missing_ok=True)
            tunnel = await SshProcess.start(command)
            try:
                await within(self._timeout, self._until_up(tunnel, patience))
            except asyncio.TimeoutError:
                await tunnel.close()
                raise unreachable(
                    self._node,
                    f"ssh was not up within {self._timeout:g} s",
                    hint=f"Look closer: {self._host.typed} true",
                ) from None
            except BaseException:
                await tunnel.close()
                raise
        return tunnel

    async def _until_up(self, tunnel: SshProcess, patience: float) -> None:
        said = asyncio.create_task(tunnel.wait_for_line(b"ready"))
        try:
            while not said.done():
                await asyncio.wait([said], timeout=POLL_SECONDS)
                if await asyncio.to_thread(self._socket.exists):
                    patience -= POLL_SECONDS
                    if patience <= 0:
                        return
        finally:
            said.cancel()

    async def _dial(self) -> Connection:
        for process in [p for p in self._dialled if p.exit_code is not None]:
            await process.close()
            self._dialled.remove(process)
        async with self._gate.place(await self._host.jump_host()):
            process, connection = await SshProcess.dial([*self._host.command, self._dial_command()])
        self._dialled.append(process)
        return connection

    def _dial_command(self) -> str:
        """For the account's shell there. sudo asks for nothing: nobody could answer."""
        path = self._address.path
        other = [] if path in (AGENT_SOCKET, ADMIN_SOCKET) else ["--socket", path]
        if not self._admin:
            return shlex.join(["roost-agent", "dial-stdio", *other])
        dial = shlex.join(["roost-agent", "dial-stdio", "--admin", *other])
        return f'if [ "$(id -u)" = 0 ]; then exec {dial}; else exec sudo -n {dial}; fi'

    async def _explain_dial(self) -> ProblemError:
        process = self._dialled[-1]
        await process.ends(patience=COMPLAINT_PATIENCE_SECONDS)
        self._way = "stdio" if self._admin else "session"
        if process.exit_code == OWN_ERROR:
            return await self._host.why(process)
        if self._admin and "sudo:" in process.complaints:
            return no_sudo(self._node, self._address, process.complaints, self._program)
        if "no agent answers" in process.complaints:
            if "ermission denied" in process.complaints:
                return not_in_group(self._node, self._address, self._program)
            return self._no_agent("no agent answers")
        lines = process.complaints.strip().splitlines()
        why = f"roost-agent dial-stdio there says: {lines[-1] if lines else 'nothing'}"
        if not self._admin and self._seen.listens:
            return no_forwarding(self._node, self._address, why)
        return no_dial(self._node, self._address, why, forwarded=not self._admin)

    def _no_agent(self, why: str) -> ProblemError:
        return no_agent(self._node, self._address, why, self._program, service=self._seen.service)

    async def _look(self) -> Seen:
        """Ask the account's shell there what it sees."""
        command = [*self._host.command, question(self._address.path)]
        async with self._gate.place(await self._host.jump_host()):
            return read_answer((await self._host.read(command)).decode("utf-8", "replace"))

    async def _forwards(self, tunnel: SshProcess) -> bool:
        """Whether the tunnel now takes a connection without a complaint."""
        try:
            _, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return False
        try:
            return not await tunnel.complains("open failed", patience=COMPLAINT_PATIENCE_SECONDS)
        finally:
            writer.close()

    async def _close_tunnel(self) -> None:
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            await tunnel.close()
            await asyncio.to_thread(self._socket.unlink, missing_ok=True)
