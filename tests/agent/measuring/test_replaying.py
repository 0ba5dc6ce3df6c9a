"""Replayed requests: what is counted, what is not, and how many go at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.containers.inside_http import InsideAnswer, NoAnswerError, NotSentError
from agent.measuring.replaying import AT_ONCE, Replayed, Replayer, Sender
from agent.protocol.arms import bucket_of
from agent.protocol.measures import Replay
from agent.protocol.problems import ProblemError

FAST = Replay(port=80, rate=100.0)


async def sent(
    send: Sender, enough: Callable[[], bool], replay: Replay = FAST, *, runs: bool = True
) -> Replayed:
    """What was counted until it is enough."""
    replayed = Replayed()
    replayer = Replayer(replay, send, lambda: ("c", replayed) if runs else None)
    task = asyncio.create_task(replayer.run())
    while not enough():  # noqa: ASYNC110 - as good
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return replayed


def answering(*answers: InsideAnswer | Exception) -> tuple[Sender, Callable[[], bool]]:
    """Gives these in turn; and whether it gave all."""
    left = list(answers)
    done = False

    async def send(container: str, replay: Replay) -> InsideAnswer:
        nonlocal done
        assert (container, replay) == ("c", FAST)
        if not left:
            done = True
            raise NotSentError("that was all")
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return send, lambda: done


def answer(status: int, seconds: float = 0.01) -> InsideAnswer:
    return InsideAnswer(status=status, seconds=seconds, body=b"")


async def test_answers_are_counted_as_the_proxy_counts() -> None:
    send, all_given = answering(
        answer(200), answer(404, 0.5), answer(500), answer(503), NoAnswerError("it hangs")
    )
    replayed = await sent(send, all_given)
    assert (replayed.figures.requests, replayed.figures.errors) == (5, 3)
    assert replayed.figures.latency == {bucket_of(0.01): 1, bucket_of(0.5): 1}


@pytest.mark.parametrize(
    "error",
    [
        NotSentError("that was all"),
        ProblemError("runtime.unreachable", "that was all", hint="It is a double."),
    ],
)
async def test_what_was_not_sent_is_not_counted(error: Exception) -> None:
    send, all_given = answering(error)
    replayed = await sent(send, all_given)
    assert replayed.figures.requests == 0
    assert replayed.why == "that was all"


async def test_an_arm_that_hangs_is_not_sent_more_and_more() -> None:
    under_way: set[Awaitable[object]] = set()
    asked = 0

    async def hangs(container: str, replay: Replay) -> InsideAnswer:
        nonlocal asked
        asked += 1
        waits = asyncio.get_running_loop().create_future()
        under_way.add(waits)
        await waits
        raise AssertionError

    replayed = await sent(hangs, lambda: asked >= AT_ONCE)
    await asyncio.sleep(0.05)
    assert asked == AT_ONCE
    assert replayed.figures.requests == 0


async def test_nothing_is_sent_to_what_does_not_run() -> None:
    send, _ = answering(answer(200))
    looks = 0

    def looked() -> bool:
        nonlocal looks
        looks += 1
        return looks > 10

    replayed = await sent(send, looked, runs=False)
    assert replayed.figures.requests == 0
