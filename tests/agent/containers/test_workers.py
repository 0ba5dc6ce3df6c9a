"""The threads that blocking calls run in."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref

import pytest

from agent.containers.workers import Workers, WorkersBusyError


async def test_what_a_call_returns_or_raises() -> None:
    workers = Workers("test", count=2, waiting=2)
    assert await workers.run(lambda: 7) == 7
    with pytest.raises(KeyError):
        await workers.run(lambda: os.environ["NO_SUCH_VARIABLE"])
    workers.stop()


class Answer:
    """Something that can be referred to weakly."""


async def test_an_answer_lives_no_longer_than_it_is_used() -> None:
    workers = Workers("test", count=1, waiting=2)
    gc.disable()
    try:
        seen = weakref.ref(await workers.run(Answer))
        await workers.run(lambda: None)  # the thread is done with the call before
        assert seen() is None
    finally:
        gc.enable()
        workers.stop()


async def test_no_more_threads_than_said_and_none_before_they_are_needed() -> None:
    workers = Workers("counted", count=3, waiting=10)
    assert await workers.run(lambda: threading.current_thread().name) == "counted"
    for _ in range(5):
        await workers.run(lambda: None)
    assert threads("counted") == 1
    hold = threading.Event()
    calls = [asyncio.create_task(workers.run(hold.wait)) for _ in range(10)]
    await asyncio.sleep(0.05)
    assert threads("counted") == 3
    hold.set()
    assert await asyncio.gather(*calls) == [True] * 10
    workers.stop()


async def test_a_call_that_hangs_stops_neither_the_loop_nor_the_others() -> None:
    workers = Workers("hung", count=2, waiting=0)
    hold = threading.Event()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(workers.run(hold.wait), 0.05)
    assert await workers.run(lambda: "works") == "works"
    other = asyncio.create_task(workers.run(hold.wait))
    await asyncio.sleep(0)
    with pytest.raises(WorkersBusyError):
        await workers.run(lambda: "too many")
    hold.set()
    assert await other is True
    assert await workers.run(lambda: "again") == "again"
    workers.stop()


async def test_threads_end_when_they_are_stopped() -> None:
    workers = Workers("ending", count=2, waiting=0)
    await workers.run(lambda: None)
    [thread] = [one for one in threading.enumerate() if one.name == "ending"]
    workers.stop()
    await asyncio.to_thread(thread.join)
    assert threads("ending") == 0
    with pytest.raises(WorkersBusyError):
        await workers.run(lambda: None)


def threads(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())
