"""A thread for calls that may never come back, and the watch over it.

A call into a sick driver can block for ever, and Python cannot end a thread. So a job says what
it calls; when one call takes longer than its limit, the thread is abandoned and the next job gets
a fresh one. An abandoned thread that does come back ends without touching anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Job = Callable[["Watch"], Any]


class Call(NamedTuple):
    """One call into the driver. `subject` is the index of a GPU, None for the driver itself."""

    name: str
    subject: int | None
    since: float  # time.monotonic


class AbandonedError(Exception):
    """Ends a job whose thread was given up."""


class HungError(Exception):
    """A call did not come back within its limit. `thread` is still in it."""

    def __init__(self, call: Call, thread: threading.Thread) -> None:
        super().__init__(f"{call.name} does not come back")
        self.call = call
        self.thread = thread


class Watch:
    """What a job is calling right now. Every call that could block goes through `call`."""

    def __init__(self) -> None:
        self.current: Call | None = None
        self._abandoned = False
        self._lock = threading.Lock()

    def call(
        self, name: str, subject: int | None, function: Callable[..., T], *arguments: object
    ) -> T:
        """Call `function`.

        Raises:
            AbandonedError: nobody waits for this job any more.
        """
        if self._abandoned:
            raise AbandonedError
        self.current = Call(name, subject, time.monotonic())
        try:
            return function(*arguments)
        finally:
            with self._lock:
                self.current = None
                abandoned = self._abandoned
            if abandoned:
                raise AbandonedError

    def abandon(self, call: Call) -> bool:
        """Give the job up, unless `call` has come back meanwhile."""
        with self._lock:
            if self.current is not call:
                return False
            self._abandoned = True
            return True

    def give_up(self) -> None:
        """Give the job up whatever it does: nobody wants its result."""
        with self._lock:
            self._abandoned = True


class Worker:
    """Runs jobs one after another in a daemon thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: _JobThread | None = None
        self._abandoned: list[threading.Thread] = []

    async def run(self, job: Callable[[Watch], T], *, limit_seconds: float) -> T:
        """The job's result, or what it raises.

        Args:
            limit_seconds: how long each single call of the job may take.

        Raises:
            HungError: a call took longer; the thread is abandoned.
        """
        thread = self._thread
        if thread is None:
            thread = self._thread = _JobThread(self._name)
            thread.start()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        thread.jobs.put((job, future))
        while True:
            call = thread.watch.current
            left = limit_seconds if call is None else call.since + limit_seconds - time.monotonic()
            if call is not None and left <= 0 and thread.watch.abandon(call):
                future.cancel()
                self._leave(thread)
                raise HungError(call, thread)
            try:
                await asyncio.wait({future}, timeout=max(left, 0.001))
            except asyncio.CancelledError:
                thread.watch.give_up()
                self._leave(thread)
                raise
            if future.done():
                return future.result()

    def stuck(self) -> int:
        """How many abandoned threads are still in their call."""
        self._abandoned = self._living()
        return len(self._abandoned)

    async def stop(self) -> None:
        """End the thread. Needs that no job is running."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.jobs.put(None)
            await asyncio.to_thread(thread.join, 1.0)

    def _leave(self, thread: _JobThread) -> None:
        """Abandon the thread; one that is not in a call ends with its job."""
        thread.jobs.put(None)
        self._thread = None
        self._abandoned = [*self._living(), thread]

    def _living(self) -> list[threading.Thread]:
        return [thread for thread in self._abandoned if thread.is_alive()]


class _JobThread(threading.Thread):
    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.watch = Watch()
        self.jobs: queue.SimpleQueue[tuple[Job, asyncio.Future[Any]] | None] = queue.SimpleQueue()

    def run(self) -> None:
        while (item := self.jobs.get()) is not None:
            job, future = item
            try:
                result, error = job(self.watch), None
            except AbandonedError:
                return
            except Exception as raised:  # noqa: BLE001  the job's exception goes to who waits
                result, error = None, raised
            # The loop is closed where the agent ends while a job runs.
            with contextlib.suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_finish, future, result, error)
            # Else the last exception, with the frames it holds, would live until the next job.
            del item, job, future, result, error


def _finish(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
