"""Looking from inside containers which GPUs they see.

The ladder: `nvidia-smi -L` through the runtime's exec, which tells what an application would
get; else the device nodes in the container's mount namespace and the environment of its
process 1, which tell what it was given. "Could not tell" is a result.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Literal

import msgspec
from anyio import fail_after, move_on_after

from agent.containers.runtime import ContainerRuntime, ExecSession
from agent.doctor.device_nodes import DeviceNodes, look_at_nodes
from agent.doctor.reloads import ReloadWatch
from agent.doctor.smi import SmiAnswer, read_smi
from agent.protocol.containers import Container, ExecExit, ExecRequest
from agent.protocol.problems import ProblemError

COMMAND = ["nvidia-smi", "-L"]
TIMEOUT_SECONDS = 5.0
AT_ONCE = 2
# A look costs a process in somebody's container (18 ms of CPU and 22 MB, measured on an H200), so
# it is kept for every other round of the doctor's, unless something happened that can take GPUs
# away: of what nobody tells, such as `systemctl set-property`, it is known within a minute. One
# that saw no GPU is never kept, so that what was mended is seen at once.
KEPT_SECONDS = 60.0
OUTPUT_LIMIT_BYTES = 64 * 1024

Run = tuple[str, float | None]  # container id and when it was started

log = logging.getLogger(__name__)


class InsideLook(msgspec.Struct, kw_only=True, frozen=True):
    """What one container sees, and how that was found out.

    `sees` None: could not tell, and `reason` says what was tried. Way "device_nodes" says that
    nodes are there or not; whether the container's control group lets it open them is not known,
    so nodes do not outweigh an nvidia-smi that hung or died.
    """

    way: Literal["exec", "device_nodes", "none"]
    sees: bool | None
    uuids: tuple[str, ...] = ()
    minors: tuple[int, ...] = ()
    tegra: bool = False
    environment: str | None = None  # NVIDIA_VISIBLE_DEVICES of process 1, if it was read
    reason: str | None = None
    at: float = 0.0  # Unix time


def wants_gpu(container: Container) -> bool:
    """Whether the container runs, and was created with an NVIDIA GPU asked for.

    CDI devices of other makers come by their full name, "amd.com/gpu=0".
    """
    asks = container.gpu_way != "none" and any("=" not in gpu for gpu in container.gpus)
    return asks and container.state == "running"


class InsideLooker:
    """Looks into containers, a few at once, each within a time limit.

    Args:
        procfs: /proc of the host, where containers' processes are. None: there is none, because
            the containers are simulated.
        reloads: What may have taken GPUs away since a look.
    """

    def __init__(
        self,
        runtime: ContainerRuntime,
        *,
        procfs: Path | None = Path("/proc"),
        reloads: ReloadWatch | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        at_once: int = AT_ONCE,
    ) -> None:
        self._runtime = runtime
        self._procfs = procfs
        self._reloads = reloads or ReloadWatch(None)
        self._timeout = timeout_seconds
        self._at_once = at_once
        self._looks: dict[Run, tuple[float, InsideLook]] = {}  # and when, by the watch's clock
        self._glances: dict[Run, InsideLook] = {}
        # Runs of containers in which nvidia-smi hung. It cannot be killed from here, so another
        # one would only pile up beside it.
        self._hung: set[Run] = set()

    async def look(self, containers: Iterable[Container]) -> dict[str, InsideLook]:
        """Container id to look, for every running container that asked for a GPU.

        Never raises.
        """
        wanted = [container for container in containers if wants_gpu(container)]
        runs = {(container.id, container.started_at) for container in wanted}
        self._hung &= runs
        self._looks = {run: look for run, look in self._looks.items() if run in runs}
        await asyncio.to_thread(self._reloads.look)
        turn = asyncio.Semaphore(self._at_once)
        looks = await asyncio.gather(*(self._one(container, turn) for container in wanted))
        return {container.id: look for container, look in zip(wanted, looks, strict=True)}

    async def glance(self, containers: Iterable[Container]) -> dict[str, InsideLook]:
        """Container id to a look at device nodes and environment alone, for all that run.

        For containers that asked for nothing as far as is known: nothing is run in them. What was
        seen stands for the container's run. Never raises.
        """
        running = [container for container in containers if container.state == "running"]
        runs = {(container.id, container.started_at) for container in running}
        self._glances = {run: look for run, look in self._glances.items() if run in runs}
        turn = asyncio.Semaphore(self._at_once)
        looks = await asyncio.gather(*(self._glance_at(container, turn) for container in running))
        return {container.id: look for container, look in zip(running, looks, strict=True)}

    async def _one(self, container: Container, turn: asyncio.Semaphore) -> InsideLook:
        run = (container.id, container.started_at)
        known = self._kept(run)
        if known is not None:
            return known
        async with turn:
            began = self._reloads.now()
            look = await _safely(container, self._climb(container))
        self._looks[run] = (began, look)
        return look

    def _kept(self, run: Run) -> InsideLook | None:
        if run not in self._looks:
            return None
        began, look = self._looks[run]
        fresh = self._reloads.now() - began < KEPT_SECONDS and self._reloads.still_holds(began)
        return look if fresh and look.sees is not False else None

    async def _glance_at(self, container: Container, turn: asyncio.Semaphore) -> InsideLook:
        run = (container.id, container.started_at)
        if run in self._glances:
            return self._glances[run]
        async with turn:
            look = await _safely(container, self._judge(container, SmiAnswer(None)))
        if look.sees is not None:
            self._glances[run] = look
        return look

    async def _climb(self, container: Container) -> InsideLook:
        answer = await self._exec(container)
        if answer.sees is not None:
            return InsideLook(
                way="exec",
                sees=answer.sees,
                uuids=answer.uuids,
                reason=answer.reason,
                at=time.time(),
            )
        return await self._judge(container, answer)

    async def _judge(self, container: Container, answer: SmiAnswer) -> InsideLook:
        """By its device nodes, after an nvidia-smi that did not tell."""
        now = time.time()
        nodes = await self._nodes(container)
        if nodes.reason is not None:
            reason = "; ".join(filter(None, (answer.reason, nodes.reason)))
            return InsideLook(way="none", sees=None, reason=reason, at=now)
        there = bool(nodes.minors or nodes.tegra)
        return InsideLook(
            way="device_nodes",
            sees=None if there and answer.broke else there,
            minors=nodes.minors,
            tegra=bool(nodes.tegra),
            environment=nodes.environment,
            reason=answer.reason,
            at=now,
        )

    async def _exec(self, container: Container) -> SmiAnswer:
        run = (container.id, container.started_at)
        if run in self._hung:
            return SmiAnswer(None, reason="nvidia-smi hung in this container before", broke=True)
        try:
            with fail_after(self._timeout):
                return await self._run_smi(container)
        except TimeoutError:
            self._hung.add(run)
            reason = f"nvidia-smi did not end within {self._timeout:g} s"
            return SmiAnswer(None, reason=reason, broke=True)
        except ProblemError as error:
            if error.code == "exec.command":
                return SmiAnswer(None, reason="no nvidia-smi in the container")
            return SmiAnswer(None, reason=f"exec: {error.detail}")

    async def _run_smi(self, container: Container) -> SmiAnswer:
        session = await self._runtime.exec(container.id, ExecRequest(command=COMMAND))
        output = bytearray()
        code: int | None = None
        try:
            async for item in session.output():
                if isinstance(item, ExecExit):
                    code = item.code
                elif len(output) < OUTPUT_LIMIT_BYTES:
                    output += item.data
        finally:
            await _close(session)
        return read_smi(code, output.decode("utf-8", "replace"))

    async def _nodes(self, container: Container) -> DeviceNodes:
        if self._procfs is None:
            return DeviceNodes(reason="a simulated container has no device nodes")
        try:
            with fail_after(self._timeout):
                details = await self._runtime.details(container.id)
        except TimeoutError:
            return DeviceNodes(reason="the runtime did not tell the container's process in time")
        except ProblemError as error:
            return DeviceNodes(reason=f"inspect: {error.detail}")
        if not details.pid:
            return DeviceNodes(reason="the runtime names no process of the container")
        return await asyncio.to_thread(look_at_nodes, container.id, details.pid, self._procfs)


async def _safely(container: Container, looking: Awaitable[InsideLook]) -> InsideLook:
    """A runtime that breaks its promises must not end the doctor's round."""
    try:
        return await looking
    except Exception as error:
        log.exception("looking into container %s failed", container.id)
        return InsideLook(way="none", sees=None, reason=f"{type(error).__name__}: {error}")


async def _close(session: ExecSession) -> None:
    """Cut the connection, also when that takes long or fails: the look is over either way."""
    with contextlib.suppress(OSError, ProblemError), move_on_after(1.0):
        await session.close()
