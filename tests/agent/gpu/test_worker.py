"""The watched thread, with calls that are Python's own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from agent.gpu.holds import Backoff, Holds
from agent.gpu.worker import HungError, Watch, Worker
from tests.agent.gpu.conftest import FakeClock


async def test_results_and_errors_come_back() -> None:
    worker = Worker("test")

    def broken(watch: Watch) -> None:
        raise ValueError("of the job")

    names = {
        await worker.run(lambda _: threading.current_thread().name, limit_seconds=1)
        for _ in range(3)
    }
    assert names == {"test"}
    with pytest.raises(ValueError, match="of the job"):
        await worker.run(broken, limit_seconds=1)
    assert await worker.run(lambda watch: watch.call("f", 1, max, 1, 2), limit_seconds=1) == 2
    await worker.stop()
    await worker.stop()


async def test_a_job_may_take_long_in_many_calls() -> None:
    worker = Worker("test")
    wait = threading.Event().wait

    def job(watch: Watch) -> int:
        for _ in range(8):
            watch.call("wait", None, wait, 0.05)
        return 1

    assert await worker.run(job, limit_seconds=0.2) == 1
    await worker.stop()


async def test_an_abandoned_job_does_nothing_more() -> None:
    worker = Worker("test")
    let_go = threading.Event()
    touched: list[str] = []

    def job(watch: Watch) -> None:
        watch.call("hang", 3, let_go.wait)
        touched.append("after the call")

    with pytest.raises(HungError, match="hang does not come back") as caught:
        await worker.run(job, limit_seconds=0.05)
    assert (caught.value.call.name, caught.value.call.subject) == ("hang", 3)
    assert worker.stuck() == 1
    # A fresh thread works meanwhile.
    assert await worker.run(lambda _: 5, limit_seconds=1) == 5
    let_go.set()
    await asyncio.to_thread(caught.value.thread.join, 5)
    assert worker.stuck() == 0
    assert touched == []
    await worker.stop()


async def test_a_cancelled_job_ends_before_its_next_call() -> None:
    worker = Worker("cancelled")
    entered, let_go = threading.Event(), threading.Event()
    touched: list[str] = []

    def job(watch: Watch) -> None:
        entered.set()
        let_go.wait()
        watch.call("never", None, touched.append, "called")

    task = asyncio.create_task(worker.run(job, limit_seconds=30))
    await asyncio.to_thread(entered.wait)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    let_go.set()
    (thread,) = [each for each in threading.enumerate() if each.name == "cancelled"]
    await asyncio.to_thread(thread.join, 5)
    assert worker.stuck() == 0
    assert touched == []
    await worker.stop()


def test_backoff() -> None:
    clock = FakeClock()
    backoff = Backoff(1, 5, clock)
    waits = []
    assert backoff.due()
    for _ in range(5):
        backoff.failed()
        start = clock.now
        while not backoff.due():
            clock.now += 1
        waits.append(clock.now - start)
    assert waits == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.due()


def hung(subject: int | None, let_go: threading.Event) -> HungError:
    thread = threading.Thread(target=let_go.wait, daemon=True)
    thread.start()
    watch = Watch()
    errors: list[HungError] = []

    def call() -> None:
        if watch.current is not None:
            errors.append(HungError(watch.current, thread))

    watch.call("f", subject, call)
    return errors[0]


def test_holds() -> None:
    clock, let_go = FakeClock(), threading.Event()
    holds = Holds(10, 20, clock)
    assert holds.reason(1) is None
    first, second = hung(1, let_go), hung(1, let_go)
    holds.add(1, first)
    assert holds.reason(1) == "f does not come back"
    assert holds.gpus() == {1: "f does not come back"}
    assert holds.reason(None) is None
    clock.now += 10
    assert holds.reason(1) is None
    holds.add(1, second)
    clock.now += 10_000
    assert holds.reason(1) == "f does not come back"  # two threads are enough
    let_go.set()
    first.thread.join()
    assert holds.reason(1) is None
    second.thread.join()
    assert holds.gpus() == {}


def test_a_hold_is_released_by_an_answer() -> None:
    let_go = threading.Event()
    holds = Holds(10, 20, FakeClock())
    holds.add(None, hung(None, let_go))
    assert holds.reason(None)
    holds.release(None)
    assert holds.reason(None) is None
    let_go.set()
