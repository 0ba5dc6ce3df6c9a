"""A build that is stopped from here, whatever its node says to that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import msgspec
import pytest

from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from console.builds.building import Build, Wanted
from console.builds.context import Rendered
from tests.console.builds.test_context import MATRIX, VARIANT

JOB = Job(id="j1", kind="image.build", subject="cpu", state="running", owner="me", created_at=0)


@pytest.mark.parametrize(
    "problem",
    [
        None,
        ProblemError("job.ended", "the job j1 has succeeded"),
        ProblemError("link.unreachable", "the node does not answer"),
    ],
)
@pytest.mark.parametrize("answers", [True, False])
async def test_a_stop_is_never_taken_for_an_end(
    problem: ProblemError | None, *, answers: bool
) -> None:
    """What comes of it would else be one variant's problem, and the next one would be built."""
    following, stopped, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
    told: list[str] = []

    async def build_image(*_: object) -> Job:
        if not answers:
            following.set()
            await answered.wait()
        return JOB

    async def job_log(_: str, *, after: int) -> AsyncIterator[Any]:
        following.set()
        await stopped.wait()
        if after < 0:
            yield

    async def cancel(_: str) -> None:
        stopped.set()
        if problem is not None:
            raise problem

    client = MagicMock()
    client.images = AsyncMock(return_value=[])
    client.uploads.begin = AsyncMock(return_value=None)
    client.build_image = build_image
    client.job_log, client.cancel_job = job_log, AsyncMock(side_effect=cancel)
    client.job = AsyncMock(return_value=msgspec.structs.replace(JOB, state="cancelled"))
    wanted = Wanted(
        matrix=MATRIX,
        variant=VARIANT,
        rendered=Rendered(dockerfile=b"", requirements=b"", application=b""),
        base="b:1",
        own_base=False,
        wheelhouse=None,
        locked=None,
    )
    build = asyncio.create_task(Build(client, told=told.append, heard=told.append).run(wanted))
    await following.wait()
    build.cancel()
    answered.set()
    with pytest.raises(asyncio.CancelledError):
        await build
    client.cancel_job.assert_awaited_once_with("j1")
    said = [] if problem is None else [f"the node did not stop it: {problem.detail}"]
    assert told[-1 - len(said) :] == ["stopping the build", *said]
