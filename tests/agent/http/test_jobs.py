"""Jobs over HTTP: listed, followed, cancelled, tried again, and in the live picture."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec

from agent.jobs.work import Work
from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job, JobLogLine
from agent.protocol.problems import ProblemError
from tests.agent.http.conftest import Served
from tests.agent.jobs.kinds import Brush, Paint, Painting, ended
from tests.waiting import until

WALL = Paint(what="wall")


def job_of(answer: httpx.Response) -> Job:
    assert answer.status_code in {200, 202}, answer.text
    return msgspec.json.decode(answer.content, type=Job)


def events_of(text: str) -> list[tuple[str, Any]]:
    blocks = [
        dict(line.split(": ", 1) for line in block.split("\n"))
        for block in text.split("\n\n")
        if block.strip() and not block.startswith(":")
    ]
    return [(block["event"], msgspec.json.decode(block["data"])) for block in blocks]


async def test_jobs_are_listed_and_found(served: Served) -> None:
    served.node.jobs.register(Painting())
    first = await served.node.jobs.submit("test.paint", WALL, owner="maria")
    await ended(served.node.jobs, first)
    second = await served.node.jobs.submit("test.paint", Paint(what="door"), owner="maria")
    await ended(served.node.jobs, second)
    async with served.client("viewer") as client:
        listed = msgspec.json.decode((await client.get("/v1/jobs")).content, type=list[Job])
        assert [job.id for job in listed] == [second.id, first.id]
        some = await client.get("/v1/jobs", params={"state": "succeeded", "limit": 1})
        assert [job["id"] for job in some.json()] == [second.id]
        assert (await client.get("/v1/jobs", params={"state": "failed"})).json() == []
        assert job_of(await client.get(f"/v1/jobs/{first.id[:5]}")).id == first.id
        unknown = await client.get("/v1/jobs/nothing")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "job.not_found")
        assert (await client.get("/v1/jobs", params={"state": "odd"})).status_code == 400


async def test_a_log_is_followed_to_the_end_of_the_job(served: Served) -> None:
    brush = Brush()

    async def talk(work: Work[Paint]) -> dict[str, str]:
        work.log("one\ntwo")
        await brush.paint(work)
        work.log("three")
        return {}

    served.node.jobs.register(Painting(talk))
    job = await served.node.jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    async with served.client("viewer") as client:
        so_far = await client.get(f"/v1/jobs/{job.id}/log", params={"follow": "false"})
        lines, end = events_of(so_far.text)
        assert [line["text"] for line in lines[1]] == ["one", "two"]
        assert (end[0], end[1]["state"]) == ("end", "running")
        following = asyncio.create_task(client.get(f"/v1/jobs/{job.id}/log", params={"after": 1}))
        await asyncio.sleep(0)
        brush.enough.set()
        events = events_of((await following).text)
    told = [line for name, data in events if name == "lines" for line in data]
    lines_told = msgspec.convert(told, list[JobLogLine])
    assert [(line.number, line.text) for line in lines_told] == [(2, "two"), (3, "three")]
    assert (events[-1][0], events[-1][1]["state"]) == ("end", "succeeded")


async def test_an_operator_cancels_and_it_is_in_the_audit_log(served: Served) -> None:
    brush = Brush()
    served.node.jobs.register(Painting(brush.paint))
    job = await served.node.jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    async with served.client("viewer") as client:
        assert (await client.post(f"/v1/jobs/{job.id}/cancel")).json()["code"] == "auth.role"
    async with served.client(owner="paul") as client:
        assert job_of(await client.post(f"/v1/jobs/{job.id}/cancel")).cancelling
        over = await ended(served.node.jobs, job)
        assert (over.state, over.reason) == ("cancelled", "cancelled by paul")
        again = job_of(await client.post(f"/v1/jobs/{job.id}/cancel"))
        assert again.state == "cancelled"
        record = (await client.get("/v1/audit", params={"limit": 1})).json()[0]
    assert (record["action"], record["subject"], record["owner"], record["outcome"]) == (
        "job.cancel",
        f"job/{job.id}",
        "paul",
        "done",
    )


async def test_a_retry_answers_202_and_one_job_for_a_key(served: Served) -> None:
    async def fail(work: Work[Paint]) -> dict[str, str]:
        raise ProblemError("runtime.refused", "the wall is wet", hint="wait")

    served.node.jobs.register(Painting(fail))
    job = await served.node.jobs.submit("test.paint", WALL, owner="maria")
    await ended(served.node.jobs, job)
    async with served.client() as client:
        headers = {IDEMPOTENCY_HEADER: "again"}
        first = await client.post(f"/v1/jobs/{job.id}/retry", headers=headers)
        second = await client.post(f"/v1/jobs/{job.id}/retry", headers=headers)
        refused = await client.post(f"/v1/jobs/{job.id}/cancel")
    assert first.status_code == second.status_code == 202
    assert job_of(first).id == job_of(second).id != job.id
    assert job_of(first).parent == job.id
    assert refused.json()["code"] == "job.ended"


async def test_the_live_picture_shows_the_job(served: Served) -> None:
    brush = Brush()
    served.node.jobs.register(Painting(brush.paint))
    job = await served.node.jobs.submit("test.paint", WALL, owner="maria")
    await brush.begun.wait()
    await until(lambda: served.node.events.sections["jobs"][job.id]["state"] == "running")
    brush.enough.set()
    await until(lambda: served.node.events.sections["jobs"][job.id]["state"] == "succeeded")
