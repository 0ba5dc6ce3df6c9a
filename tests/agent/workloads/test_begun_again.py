"""An agent that is killed while a deployment is begun: the same request finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from agent.protocol.deployments import ApplyRequest, DeployOptions
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.workloads import unfinished
from agent.workloads.jobs import DEPLOY, REVERT
from agent.workloads.records import DeploymentRecord
from tests.agent.workloads.memory_side import MemorySide, memory_side, serving

ASKED = ApplyRequest(
    release="r",
    workloads=[serving("v1")],
    options=DeployOptions(confirm="manual", steered_by="r1"),
)


@pytest.fixture
async def side() -> AsyncIterator[MemorySide]:
    async with memory_side() as made:
        yield made


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After what was left without a job."""
    monkeypatch.setattr(unfinished, "LOOK_AGAIN_SECONDS", 0.0)


async def ask(side: MemorySide, request: ApplyRequest = ASKED) -> Job:
    return await side.workloads.apply(request, owner="maria", key="k")


async def looked(side: MemorySide) -> None:
    """Until what an agent before left has been seen to."""
    tasks = side.workloads.deployments._unfinished._tasks
    while tasks:
        await asyncio.gather(*tasks)


async def killed_before_its_job_was_written_down(side: MemorySide) -> Job:
    """The job is there and goes on, and the deployment's record does not name it."""
    job = await ask(side)
    shown = await side.reaches("canary")

    def without_job(record: DeploymentRecord) -> DeploymentRecord:
        return msgspec.structs.replace(
            record, shown=msgspec.structs.replace(record.shown, job=None)
        )

    await side.workloads._store.change(shown.id, without_job)
    await side.killed()
    return job


@pytest.mark.usefixtures("looks_at_once")
async def test_a_job_that_is_not_written_down_goes_on(side: MemorySide) -> None:
    job = await killed_before_its_job_was_written_down(side)
    await looked(side)
    assert (side.record.shown.state, side.record.shown.job) == ("canary", job.id)


async def test_the_same_request_finds_a_job_that_is_not_written_down(side: MemorySide) -> None:
    job = await killed_before_its_job_was_written_down(side)
    assert (await ask(side)).id == job.id
    assert side.record.shown.job == job.id
    with pytest.raises(ProblemError) as caught:
        await ask(side, msgspec.structs.replace(ASKED, release="another"))
    assert caught.value.code == "job.key_reused"


async def killed_before_it_had_a_job(side: MemorySide, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = asyncio.Event()

    async def dies(*_: object) -> Job:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(side.workloads.deployments, "_submit", dies)
    asking = asyncio.create_task(ask(side))
    await reached.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (side.record.shown.state, side.record.shown.job) == ("planned", None)
    await side.killed()


async def test_the_same_request_begins_what_had_no_job(
    side: MemorySide, monkeypatch: pytest.MonkeyPatch
) -> None:
    await killed_before_it_had_a_job(side, monkeypatch)
    job = await ask(side)
    assert job.kind == DEPLOY
    assert (await side.reaches("canary")).job == job.id


async def test_a_job_that_is_over_before_it_is_written_down_is_taken_back(
    side: MemorySide, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, deploys, told = side.jobs.submit, side.workloads.deployments._deploys, asyncio.Event()
    take_back = deploys._taken_back

    def taken_back(job: Job) -> None:
        take_back(job)
        told.set()

    async def over_at_once(kind: str, *given: Any, **named: Any) -> Job:
        job = await submit(kind, *given, **named)
        if kind == DEPLOY:
            await side.jobs.cancel(job.id, by="otto")
            await told.wait()
            await looked(side)
        return job

    monkeypatch.setattr(deploys, "_taken_back", taken_back)
    monkeypatch.setattr(side.jobs, "submit", over_at_once)
    job = await ask(side)
    shown = await side.reaches("reverted")
    assert side.jobs.get(job.id).state == "cancelled"
    assert shown.job is not None
    assert side.jobs.get(shown.job).kind == REVERT


@pytest.mark.usefixtures("looks_at_once")
async def test_what_had_no_job_and_nobody_asks_for_goes_back(
    side: MemorySide, monkeypatch: pytest.MonkeyPatch
) -> None:
    await killed_before_it_had_a_job(side, monkeypatch)
    await looked(side)
    assert (await side.reaches("reverted")).release == "r"
