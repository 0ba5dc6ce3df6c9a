"""`/v1/packages`: read by a job, kept, and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import msgspec
import pytest

from agent.protocol.jobs import ENDED, Job
from agent.protocol.packages import Package, PackageList
from tests.agent.http.conftest import Served

LISTED = PackageList(packages=[Package(kind="deb", name="a", version="1")], unknown=["why"])
IMAGE = "detector:1"


class Reader:
    """Counts how often it is asked, and waits where it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.cancelled = False

    async def read(self, reference: str, heard: Callable[[int, int], None]) -> PackageList:
        self.asked += 1
        heard(1, 2)
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return LISTED


@pytest.fixture
def reader(served: Served, monkeypatch: pytest.MonkeyPatch) -> Reader:
    made = Reader()
    monkeypatch.setattr(served.node.runtime, "image_packages", made.read)
    return made


async def begin(client: httpx.AsyncClient, image: str) -> Job:
    answer = await client.post("/v1/packages", json={"image": image})
    assert answer.status_code == 202, answer.text
    return msgspec.json.decode(answer.content, type=Job)


async def ended(client: httpx.AsyncClient, job: Job) -> Job:
    while job.state not in ENDED:
        await asyncio.sleep(0.01)
        answer = await client.get(f"/v1/jobs/{job.id}")
        job = msgspec.json.decode(answer.content, type=Job)
    return job


async def test_an_image_is_read_once(served: Served, reader: Reader) -> None:
    target = f"/v1/packages?image={IMAGE}"
    async with served.client() as client, served.client("viewer") as viewer:
        before = await viewer.get(target)
        assert (before.status_code, before.json()["code"]) == (404, "packages.not_read")
        assert (await viewer.post("/v1/packages", json={"image": IMAGE})).status_code == 403
        job = await begin(client, IMAGE)
        await reader.begun.wait()
        running = msgspec.json.decode((await client.get(f"/v1/jobs/{job.id}")).content, type=Job)
        assert (running.stage, running.done, running.total) == ("reading", 1, 2)
        assert (await begin(client, IMAGE)).id == job.id
        reader.go_on.set()
        job = await ended(client, job)
        assert (job.state, job.result) == ("succeeded", {"packages": "1", "unknown": "1"})
        found = msgspec.json.decode((await viewer.get(target)).content, type=PackageList)
        assert found.read_at is not None
        assert msgspec.structs.replace(found, read_at=None) == LISTED
        again = await ended(client, await begin(client, IMAGE))
        assert (again.state, again.id != job.id) == ("succeeded", True)
    assert reader.asked == 1
    record = served.node.audit.newest(1)[0]
    assert (record.action, record.subject) == ("packages.read", f"image/{IMAGE}")


async def test_cancelling_ends_the_reading(served: Served, reader: Reader) -> None:
    async with served.client() as client:
        job = await begin(client, IMAGE)
        await reader.begun.wait()
        await client.post(f"/v1/jobs/{job.id}/cancel")
        assert (await ended(client, job)).state == "cancelled"
        assert reader.cancelled
        answer = await client.get(f"/v1/packages?image={IMAGE}")
        assert answer.json()["code"] == "packages.not_read"


async def test_of_the_node_itself_and_of_no_image(served: Served) -> None:
    async with served.client() as client:
        job = await ended(client, await begin(client, ""))
        assert (job.state, job.subject) == ("succeeded", "the node itself")
        answer = await client.get("/v1/packages")
        found = msgspec.json.decode(answer.content, type=PackageList)
        told = {each.name: each.version for each in found.packages}
        assert told["nvidia-driver"] == "535.183.01"
        assert told["docker-engine"] == "24.0.7"
        assert found.unknown == ["this node is simulated: nothing is installed on it"]
        for image in ("none:1", "x" * 600):
            refused = await client.post("/v1/packages", json={"image": image})
            assert refused.status_code in (400, 404), refused.text


async def test_a_simulated_image_has_nothing_to_read(served: Served) -> None:
    async with served.client() as client:
        job = await ended(client, await begin(client, IMAGE))
    assert job.state == "failed"
    assert job.problem is not None
    assert job.problem.code == "image.no_layers"
