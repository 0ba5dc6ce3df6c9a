"""Images over HTTP: planned without change, taken at once, refused with a reason."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import msgspec
import pytest

from agent.protocol.images import ImageContent, LoadPlan, LoadRequest, NodeImage
from agent.protocol.jobs import IDEMPOTENCY_HEADER
from agent.protocol.problems import ProblemError
from tests.agent.http.conftest import Served
from tests.agent.http.test_jobs import job_of
from tests.agent.images.image_side import content, request
from tests.agent.images.layers import diff_id
from tests.agent.jobs.kinds import ended
from tests.archives_made import Made, layer

BASE = layer("base")
APP = Made([BASE, layer("app")], tags=["app:1"])
JSON = {"Content-Type": "application/json"}


async def post(client: httpx.AsyncClient, what: str, body: Any, **headers: str) -> httpx.Response:
    data = msgspec.json.encode(body)
    return await client.post(f"/v1/images/{what}", content=data, headers={**JSON, **headers})


async def send(client: httpx.AsyncClient, data: bytes) -> None:
    named = base64.b64encode(diff_id(data).encode()).decode()
    tus = {"Tus-Resumable": "1.0.0"}
    said = {**tus, "Upload-Length": str(len(data)), "Upload-Metadata": f"diff_id {named}"}
    begun = await client.post("/v1/uploads", headers=said)
    assert begun.status_code == 201, begun.text
    kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    sent = await client.patch(begun.headers["Location"], content=data, headers={**tus, **kind})
    assert sent.status_code == 204, sent.text


async def test_a_plan_is_for_viewers_and_changes_nothing(served: Served) -> None:
    async with served.client("viewer") as client:
        answer = await post(client, "plan", request(APP))
        assert answer.status_code == 200
        plan = msgspec.json.decode(answer.content, type=LoadPlan)
        assert [wanted.diff_id for wanted in plan.wanted] == APP.diff_ids
        assert [image.state for image in plan.images] == ["load"]
        for what in ("load", "import", "remove", "tag"):
            assert (await post(client, what, request(APP))).status_code == 403
    assert served.node.jobs.newest() == []


async def test_a_load_is_taken_at_once_and_waits_for_its_layers(served: Served) -> None:
    async with served.client() as client:
        answer = await post(client, "load", request(APP), **{IDEMPOTENCY_HEADER: "the key"})
        assert answer.status_code == 202
        job = job_of(answer)
        assert (job.kind, job.subject, job.state) == ("image.load", "app:1", "queued")
        again = await post(client, "load", request(APP), **{IDEMPOTENCY_HEADER: "the key"})
        assert job_of(again).id == job.id
        for data in APP.layers:
            await send(client, data)
        done = await ended(served.node.jobs, job)
        assert (done.state, done.problem) == ("succeeded", None)
        listed = await client.get("/v1/images")
        images = msgspec.json.decode(listed.content, type=list[NodeImage])
        [image] = [one for one in images if "app:1" in one.tags]
        assert (image.id, image.protected) == (done.result["app:1"], None)
        other = await post(client, "load", LoadRequest(images=[content(APP)], source="b.tar"))
        assert job_of(other).id != job.id


async def test_the_word_to_make_room_makes_no_other_job(served: Served) -> None:
    """Two consoles, of which one may remove images: also on a simulated node."""
    async with served.client() as client:
        made = [
            job_of(
                await post(
                    client, "load", request(APP, make_room=word), **{IDEMPOTENCY_HEADER: str(n)}
                )
            )
            for n, word in enumerate([False, True, False])
        ]
        assert len({job.id for job in made}) == 1
        reused = await post(
            client, "load", request(APP, make_room=True), **{IDEMPOTENCY_HEADER: "0"}
        )
        assert (reused.status_code, reused.json()["code"]) == (409, "job.key_reused")


def but(**changes: Any) -> ImageContent:
    return msgspec.structs.replace(content(APP), **changes)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (but(layers=content(APP).layers[:1]), "image.config"),
        (but(config=b"{}"), "image.config"),
        (but(config=b""), "image.config"),
        (but(tags=["Not/A:name"]), "image.reference"),
        (but(tags=["roost.local/staging:1"]), "image.reference"),
        (content(Made([BASE], architecture="s390x")), "image.platform"),
    ],
)
async def test_what_cannot_be_loaded_is_refused_before_a_byte_is_sent(
    served: Served, made: ImageContent, code: str
) -> None:
    async with served.client() as client:
        answer = await post(client, "load", LoadRequest(images=[made]))
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["hint"]
    assert served.node.jobs.newest() == []


async def test_a_name_that_is_for_staging_is_not_given(served: Served) -> None:
    async with served.client() as client:
        body = {"image": "detector:1", "tag": "roost.local/staging:1"}
        answer = await post(client, "tag", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "image.reference")


async def test_a_runtime_that_is_away_refuses_a_load(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> list[NodeImage]:
        raise ProblemError("runtime.unreachable", "dockerd is gone", hint="Start it.")

    monkeypatch.setattr(served.node.runtime, "images", away)
    async with served.client() as client:
        answers = [await post(client, what, request(APP)) for what in ("plan", "load")]
        answers.append(await client.get("/v1/images"))
    assert {(one.status_code, one.json()["code"]) for one in answers} == {
        (503, "runtime.unreachable")
    }
    assert served.node.jobs.newest() == []


async def test_nothing_lies_on_a_simulated_node(served: Served) -> None:
    async with served.client() as client:
        answer = await post(client, "import", {"path": "/mnt/app.tar"})
        assert (answer.status_code, answer.json()["code"]) == (422, "image.path")
        assert (await client.get("/v1/media")).json() == []
