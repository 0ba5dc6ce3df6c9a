"""Requests that the node itself sends to an arm, counted as those that come through the proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from agent.containers.inside_http import (
    InsideAnswer,
    InsideHttp,
    InsideRequest,
    NoAnswerError,
    NotSentError,
)
from agent.protocol.arms import RequestFigures, bucket_of
from agent.protocol.measures import REPLAY_HEADER, Replay
from agent.protocol.problems import ProblemError

AGENT = "roost-replay"
# An arm that hangs is not sent more and more: what is not sent is not counted.
AT_ONCE = 32
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
ERROR_STATUS = 500


class Sender(Protocol):
    """Sends one replayed request. Raises NoAnswerError, NotSentError, ProblemError."""

    async def __call__(self, container: str, replay: Replay) -> InsideAnswer: ...


class InsideSender:
    """Sends them to containers of this machine, in their own network."""

    def __init__(self, http: InsideHttp) -> None:
        self._http = http

    async def __call__(self, container: str, replay: Replay) -> InsideAnswer:
        """Its answer, read to the end. Raises NoAnswerError, NotSentError, ProblemError."""
        request = InsideRequest(
            port=replay.port,
            target=replay.path,
            method=replay.method,
            headers={**replay.headers, REPLAY_HEADER: "1"},
            body=replay.body,
            agent=AGENT,
        )
        return await self._http.ask(
            container,
            request,
            timeout_seconds=replay.timeout,
            limit_bytes=ANSWER_LIMIT_BYTES,
            keep_body=False,
        )


class Replayed:
    """What came of the requests that were replayed to an arm in one window."""

    def __init__(self) -> None:
        self.figures = RequestFigures()
        self.why = "none was answered yet"  # there are no figures

    def count(self, answer: InsideAnswer | None) -> None:
        """An answer, or that there was none."""
        figures = self.figures
        figures.requests += 1
        if answer is None or answer.status >= ERROR_STATUS:
            figures.errors += 1
            return
        bucket = bucket_of(answer.seconds)
        figures.latency[bucket] = figures.latency.get(bucket, 0) + 1


class Replayer:
    """Sends one replay to one arm, at its rate, until it is cancelled.

    Args:
        arm: the container now, and where to count; None: not now.
    """

    def __init__(
        self, replay: Replay, send: Sender, arm: Callable[[], tuple[str, Replayed] | None]
    ) -> None:
        self._replay, self._send, self._arm = replay, send, arm
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Keep to the rate however long answers take."""
        loop = asyncio.get_running_loop()
        due, pause = loop.time(), 1.0 / self._replay.rate
        try:
            while True:
                found = self._arm()
                if found is not None and len(self._under_way) < AT_ONCE:
                    task = asyncio.create_task(self._one(*found), name="replay")
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
                due = max(due + pause, loop.time() - pause)
                await asyncio.sleep(due - loop.time())
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _one(self, container: str, replayed: Replayed) -> None:
        try:
            answer = await self._send(container, self._replay)
        except NotSentError as error:
            replayed.why = str(error)
        except ProblemError as problem:
            replayed.why = problem.detail
        except NoAnswerError:
            replayed.count(None)
        else:
            replayed.count(answer)
