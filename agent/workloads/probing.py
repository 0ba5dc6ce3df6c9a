"""Whether a container is well: it runs, its health check says so, its probes pass."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import h11
from anyio import fail_after

from agent.containers.runtime import ContainerRuntime
from agent.protocol.containers import Container
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import ExecProbe, GpuProbe, HttpProbe, Probe
from agent.workloads.gpu_check import run_inside
from agent.workloads.health_runs import HealthRuns

READ_BYTES = 64 * 1024
CLONE_NEWNET = 0x40000000


class Wellness(NamedTuple):
    """`waiting` may become either; `why` says what it waits for, or what is wrong."""

    state: Literal["well", "waiting", "ended", "unwell"]
    why: str = ""


class Prober:
    """Looks at containers of one node.

    Args:
        procfs: where the host's processes are, for a container's own network; None: simulated,
            where HTTP probes pass.
    """

    def __init__(
        self,
        runtime: ContainerRuntime,
        health: HealthRuns,
        *,
        procfs: Path | None = Path("/proc"),
    ) -> None:
        self._runtime, self._health, self._procfs = runtime, health, procfs

    async def look(self, container: Container, probes: Sequence[Probe]) -> Wellness:
        """One look, probes included where the container is as far.

        Raises:
            ProblemError: `runtime.*`.
        """
        container = await self._health.run(container)
        if container.state in ("exited", "dead", "removing"):
            return Wellness("ended", f"it ended with exit code {container.exit_code}")
        if container.state != "running":
            return Wellness("waiting", f"it is {container.state}")
        if container.health == "unhealthy":
            return Wellness("unwell", "its health check says unhealthy")
        if container.health == "starting":
            return Wellness("waiting", "its health check has not passed yet")
        for probe in probes:
            why = await self._probe(container, probe)
            if why is not None:
                return Wellness("waiting", why)
        return Wellness("well")

    async def _probe(self, container: Container, probe: Probe) -> str | None:
        """Why it does not pass; None: it does."""
        if isinstance(probe, GpuProbe):
            return None  # it belongs to the check of GPUs
        if isinstance(probe, ExecProbe):
            return await self._exec(container, probe)
        return await self._http(container, probe)

    async def _exec(self, container: Container, probe: ExecProbe) -> str | None:
        shown = " ".join(probe.command)[:100]
        try:
            ran = await run_inside(self._runtime, container.id, probe.command, probe.timeout)
        except TimeoutError:
            return f"probe `{shown}` took longer than {probe.timeout:g} s"
        except ProblemError as problem:
            if problem.code.startswith("runtime."):
                raise
            return f"probe `{shown}`: {problem.detail}"
        if ran.code == 0:
            return None
        said = " ".join(ran.output.split())[:200]
        return f"probe `{shown}` ended with {ran.code}" + (f": {said}" if said else "")

    async def _http(self, container: Container, probe: HttpProbe) -> str | None:
        what = f"GET :{probe.port}{probe.path}"
        if self._procfs is None:
            return None
        details = await self._runtime.details(container.id)
        if not details.pid:
            return f"{what}: the runtime names no process of it"
        try:
            with fail_after(probe.timeout):
                status = await _get(self._procfs / str(details.pid), probe)
        except (TimeoutError, OSError, h11.RemoteProtocolError) as error:
            return f"{what}: {_reason(error, probe.timeout)}"
        return None if 200 <= status < 400 else f"{what} answered {status}"


async def _get(process: Path, probe: HttpProbe) -> int:
    """The status that a port on the container's own loopback answers.

    In its own network, so that no route, firewall or proxy of the host has a say.

    Raises:
        OSError, h11.RemoteProtocolError: nobody is there, or no HTTP.
    """
    connection = await asyncio.to_thread(_socket_in, process / "ns" / "net")
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", probe.port))
        reader, writer = await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise
    try:
        http = h11.Connection(h11.CLIENT)
        headers = [("Host", "localhost"), ("Connection", "close"), ("User-Agent", "roost-probe")]
        writer.write(
            http.send(h11.Request(method="GET", target=probe.path, headers=headers)) or b""
        )
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        while True:
            event = http.next_event()
            if isinstance(event, h11.Response):
                return event.status_code
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(READ_BYTES))
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError("it closed the connection")
    finally:
        writer.transport.abort()


def _socket_in(namespace: Path) -> socket.socket:
    """A TCP socket in another network namespace. A socket stays in the one it was made in.

    It runs in a thread, which comes back to its own namespace.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        other = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(libc, other)
        finally:
            os.close(other)
        try:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            _set_namespace(libc, own)
    finally:
        os.close(own)
    made.settimeout(0)
    return made


def _set_namespace(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _reason(error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)
