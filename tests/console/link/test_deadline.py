"""Deadlines that lose no cancellation."""

from __future__ import annotations

import asyncio

import pytest

from console.link.deadline import within


async def test_what_is_in_time_is_returned_and_what_fails_fails() -> None:
    assert await within(60, asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ZeroDivisionError):
        await within(60, asyncio.to_thread(lambda: 1 / 0))


async def test_what_takes_too_long_is_cancelled_and_the_task_goes_on() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(60)
        finally:
            ended = True

    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, work())
    assert ended
    # Nothing is left of the cancellation: the task can wait, and be limited again.
    assert await within(60, asyncio.sleep(0.01, "on")) == "on"


async def test_limits_in_limits() -> None:
    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, within(60, asyncio.sleep(60)))
    with pytest.raises(asyncio.TimeoutError):
        await within(60, within(0.01, asyncio.sleep(60)))


async def test_a_cancellation_together_with_the_result_is_not_lost() -> None:
    result: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(within(60, result))
    await asyncio.sleep(0)
    result.set_result("done")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
