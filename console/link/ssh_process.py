"""One run of the system's ssh."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence

from agent.protocol.problems import ProblemError
from console.link.connection import Connection
from console.link.deadline import within

COMPLAINTS_LIMIT_BYTES = 8 * 1024
END_PATIENCE_SECONDS = 2.0


class SshProcess:
    """A running ssh. Its standard input is a pipe that ends when this process does."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._complaints = bytearray()
        self._complained = asyncio.Event()
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, command: Sequence[str], *, stdio: socket.socket | None = None
    ) -> SshProcess:
        """Run `command`; with `stdio`, its standard input and output are that socket.

        Raises:
            ProblemError: `ssh.missing`.
        """
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=stdio.fileno() if stdio else pipe,
                stdout=stdio.fileno() if stdio else pipe,
                stderr=pipe,
                # Ctrl-C at the console must not cut the tunnels, and ssh must not find the
                # terminal to ask there.
                start_new_session=True,
            )
        except FileNotFoundError:
            raise ProblemError(
                "ssh.missing",
                f"there is no {command[0]} in PATH",
                hint="Install it: sudo apt-get install openssh-client",
            ) from None
        return cls(process)

    @classmethod
    async def dial(cls, command: Sequence[str]) -> tuple[SshProcess, Connection]:
        """Run `command`, whose standard input and output are a connection to the agent."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await cls.start(command, stdio=theirs)
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_connection(sock=ours)
        return process, Connection(reader, writer)

    @property
    def complaints(self) -> str:
        """The end of what it wrote to standard error."""
        return self._complaints.decode("utf-8", "replace")

    @property
    def exit_code(self) -> int | None:
        """None: it runs."""
        return self._process.returncode

    async def wait_for_line(self, line: bytes) -> bool:
        """Whether `line` comes on standard output; False: it ended without."""
        output = self._process.stdout
        if output is None:
            raise ValueError("its standard output is a socket")
        with contextlib.suppress(ValueError):  # a line over the reader's limit is not it
            async for found in output:
                if found.strip() == line:
                    return True
        await self._process.wait()
        return False

    async def output(self) -> bytes:
        """All of its standard output, once it has ended."""
        found, _ = await asyncio.gather(
            self._process.stdout.read() if self._process.stdout else _nothing(),
            self._process.wait(),
        )
        return found

    async def talk(
        self, feed: AsyncIterator[bytes] | None, hear: Callable[[str], None] | None
    ) -> str:
        """Its standard output, once it has ended, while it is fed."""
        pipe, output = self._process.stdin, self._process.stdout
        if pipe is None or output is None:
            raise ValueError("its standard output is a socket")
        feeding = asyncio.create_task(_feed(pipe, feed))
        said = []
        try:
            async for line in output:
                said.append(line.decode("utf-8", "replace"))
                if hear is not None:
                    hear(said[-1].rstrip("\r\n"))
            await self._process.wait()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        return "".join(said)

    async def complains(self, text: str, *, patience: float) -> bool:
        """Whether it complains of `text` in that many seconds, or ends."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while text not in self.complaints and not self._listener.done():
            self._complained.clear()
            try:
                await within(deadline - loop.time(), self._complained.wait())
            except asyncio.TimeoutError:
                return False
        return True

    async def ends(self, *, patience: float) -> bool:
        """Whether it ends in that many seconds; then all its complaints are known."""
        await asyncio.wait([self._listener], timeout=patience)
        return self._listener.done()

    def forget_complaints(self) -> None:
        self._complaints.clear()

    async def close(self) -> None:
        """End it, and wait until it has."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await within(END_PATIENCE_SECONDS, self._process.wait())
            except asyncio.TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._listener

    async def _listen(self) -> None:
        errors = self._process.stderr
        if errors is None:
            raise ValueError("its standard error is not a pipe")
        while data := await errors.read(4096):
            self._complaints += data
            del self._complaints[:-COMPLAINTS_LIMIT_BYTES]
            self._complained.set()
        await self._process.wait()
        self._complained.set()


def bound_to_us(command: Sequence[str]) -> list[str]:
    """`command`, so that it ends when this process does, for one that reads no input."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)


async def _feed(pipe: asyncio.StreamWriter, feed: AsyncIterator[bytes] | None) -> None:
    with contextlib.suppress(ConnectionError):  # it has ended, which its exit status tells
        if feed is not None:
            async for data in feed:
                pipe.write(data)
                await pipe.drain()
        pipe.close()


async def _nothing() -> bytes:
    return b""
