"""Keeps NVML open: when to initialise, when to try again, and what to leave alone meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec

from agent.gpu.holds import Backoff, Clock, Holds
from agent.gpu.nvml_calls import Caller, Device, DriverTroubleError, GpuTroubleError
from agent.gpu.nvml_session import Opener, Session
from agent.gpu.worker import HungError, Watch, Worker
from agent.protocol.gpus import GpuStack, GpuStackState

T = TypeVar("T")

# After so many calls of one round have hung, the rest waits for the next round.
HANGS_PER_ROUND = 2


class Limits(NamedTuple):
    """Times in seconds. Each pair of `first` and `most` is a back-off that doubles."""

    call: float = 3.0  # then a call counts as hung
    opening: float = 30.0  # the same for nvmlInit, slow where many GPUs have no persistence
    patience: float = 3.0  # how long a reading waits for nvmlInit before it goes without
    retry_first: float = 1.0  # after the driver was not there
    retry_most: float = 60.0
    hung_first: float = 10.0  # after a call hung
    hung_most: float = 300.0
    heal_first: float = 5.0  # a GPU is lost: initialise anew
    heal_most: float = 300.0
    facts_every: float = 30.0
    event_wait: float = 1.0


class NvmlDriver:
    """The driver as NVML shows it. One question at a time: the caller sees to that.

    `stack` is replaced, never changed, when something is learned of it.
    """

    def __init__(self, opener: Opener, limits: Limits, clock: Clock) -> None:
        self.stack = GpuStack(state="error", source="nvml", reason="not asked yet")
        self._opener, self._limits = opener, limits
        self._worker = Worker("nvml")
        self._holds = Holds(limits.hung_first, limits.hung_most, clock)
        self._retry = Backoff(limits.retry_first, limits.retry_most, clock)
        self._heal = Backoff(limits.heal_first, limits.heal_most, clock)
        self.session: Session | None = None  # while NVML is initialised
        self._opening: asyncio.Task[Session | None] | None = None
        self._ill = False

    async def ready(self, before: Mapping[int, str]) -> Session | None:
        """The open session; None while there is none, and `stack` says why.

        Args:
            before: UUIDs by index as last known.
        """
        if reason := self._holds.reason(None):
            self._say("hung", reason)
            return None
        if self.session and self._ill and self._heal.due() and not self._worker.stuck():
            self._heal.failed()
            await self._close()
        if self.session is None:
            await self._open(before)
        return self.session

    async def each(
        self, session: Session, work: Callable[[Caller, Device], T]
    ) -> list[tuple[Device, T | GpuTroubleError]] | None:
        """`work` on every GPU: its results, or the GPU's trouble. None where the driver is gone.

        A GPU that a call hangs in is left out of the rest, which a fresh thread does.
        """
        outcomes: dict[int, T | GpuTroubleError] = {}
        left: list[Device] = []
        for device in session.devices:
            if reason := self._holds.reason(device.index):
                outcomes[device.index] = GpuTroubleError("hung", reason, "hung")
            elif device.trouble is not None:
                outcomes[device.index] = device.trouble
            else:
                left.append(device)
        hangs = 0
        while left and hangs < HANGS_PER_ROUND:
            done: list[tuple[Device, T | GpuTroubleError]] = []
            job = partial(_one_after_another, session, left, work, done)
            try:
                await self._worker.run(job, limit_seconds=self._limits.call)
            except HungError as hung:
                hangs += 1
                victim = left[len(done)].index
                self._holds.add(victim, hung)
                outcomes[victim] = GpuTroubleError("hung", str(hung), "hung")
                if hangs == HANGS_PER_ROUND and not done and _all_hung(outcomes.values()):
                    self._holds.add(None, hung)  # not one GPU answers: it is the driver
            except DriverTroubleError as trouble:
                await self._close()
                self._retry.failed()
                self._say(trouble.state, trouble.reason)
                return None
            for device, outcome in done:
                outcomes[device.index] = outcome
                self._holds.release(device.index)
                self._holds.release(None)
            left = [device for device in left if device.index not in outcomes]
        waiting = GpuTroubleError("hung", "calls into other GPUs do not come back", "hung")
        results = [(device, outcomes.get(device.index, waiting)) for device in session.devices]
        self._judge(results)
        return results

    async def run(self, job: Callable[[], None]) -> None:
        """Run something that may read files, in the worker thread."""
        await self._worker.run(lambda _: job(), limit_seconds=self._limits.call)

    def note_error(self) -> None:
        """A GPU answers, but only with errors: initialise anew when that is due."""
        self._ill = True

    async def stop(self) -> None:
        """Shut NVML down, end the threads; those that hang are left behind."""
        opening, self._opening = self._opening, None
        if opening is not None and not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
        elif opening is not None:
            self.session = opening.result()
        await self._close()
        await self._worker.stop()

    def _judge(self, results: Sequence[tuple[Device, object]]) -> None:
        """What the GPUs' troubles mean for the whole."""
        troubles = [(d, each) for d, each in results if isinstance(each, GpuTroubleError)]
        # A GPU that hung while it was looked for has no handle: only a new start gives it one.
        self._ill = any(
            each.state != "hung" or (d.handle is None and not self._holds.reason(d.index))
            for d, each in troubles
        )
        if not troubles:
            self._heal.reset()
        if troubles and _all_hung(each for _, each in results):
            self._say("hung", troubles[0][1].reason)
        else:
            self._say("ok", None)

    async def _open(self, before: Mapping[int, str]) -> None:
        if self._opening is None:
            if not self._retry.due():
                return
            self._opening = asyncio.create_task(self._try_to_open(before))
        await asyncio.wait({self._opening}, timeout=self._limits.patience)
        if self._opening.done():
            self.session = self._opening.result()
            self._opening = None
        else:
            self._say("hung", "the driver has not finished its start")

    async def _try_to_open(self, before: Mapping[int, str]) -> Session | None:
        stack = GpuStack(state="ok", source="nvml")
        for _ in range(HANGS_PER_ROUND):
            hung_gpus = self._holds.gpus()
            job = partial(self._opener.open, stack=stack, hung=hung_gpus, before=before)
            try:
                session = await self._worker.run(job, limit_seconds=self._limits.opening)
            except HungError as hung:
                self._holds.add(hung.call.subject, hung)
                self._retry.failed()
                self.stack = msgspec.structs.replace(stack, state="hung", reason=str(hung))
                if hung.call.subject is None:
                    break
            except DriverTroubleError as trouble:
                self._retry.failed()
                stack.state, stack.reason = trouble.state, trouble.reason
                if trouble.state in ("no_gpu", "no_library"):
                    stack.source = "none"
                self.stack = stack
                break
            else:
                self._retry.reset()
                self._holds.release(None)
                self._ill = False
                self.stack = stack
                return session
        return None

    async def _close(self) -> None:
        session, self.session = self.session, None
        if session is None:
            return
        job = partial(session.close, threads_stuck=self._worker.stuck())
        try:
            await self._worker.run(job, limit_seconds=self._limits.call)
        except HungError as hung:
            self._holds.add(hung.call.subject, hung)

    def _say(self, state: GpuStackState, reason: str | None) -> None:
        if (self.stack.state, self.stack.reason) != (state, reason):
            self.stack = msgspec.structs.replace(self.stack, state=state, reason=reason)


def _all_hung(outcomes: Iterable[object]) -> bool:
    return all(isinstance(each, GpuTroubleError) and each.state == "hung" for each in outcomes)


def _one_after_another(
    session: Session,
    devices: list[Device],
    work: Callable[[Caller, Device], T],
    done: list[tuple[Device, T | GpuTroubleError]],
    watch: Watch,
) -> None:
    caller = session.caller(watch)
    for device in devices:
        done.append((device, _outcome(caller, device, work)))  # noqa: PERF401  seen from outside


def _outcome(
    caller: Caller, device: Device, work: Callable[[Caller, Device], T]
) -> T | GpuTroubleError:
    try:
        return work(caller, device)
    except GpuTroubleError as trouble:
        return trouble
