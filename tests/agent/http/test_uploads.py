"""tus over HTTP, by the letter of the protocol."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from agent.protocol import tus
from tests.agent.doubles import images_in_folder
from tests.agent.http.conftest import Served
from tests.agent.images.layers import compressed, diff_id, noise

LAYER = noise(1_500_000)
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
async def client(served: Served, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's, on a node that keeps files."""
    served.node.images = images_in_folder(tmp_path)
    await served.node.images.start()
    async with served.client() as made:
        yield made
    await served.node.images.stop()


def said(layer: bytes = LAYER, **more: str) -> str:
    return tus.encode_metadata({"diff_id": diff_id(layer), **more})


async def begin(client: httpx.AsyncClient, layer: bytes = LAYER, **more: str) -> str:
    answer = await client.post(
        "/v1/uploads",
        headers={**TUS, "Upload-Length": str(len(layer)), "Upload-Metadata": said(layer, **more)},
    )
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def send(
    client: httpx.AsyncClient,
    url: str,
    data: bytes,
    offset: int = 0,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    return await client.patch(
        url, content=data, headers={**BYTES, "Upload-Offset": str(offset), **(headers or {})}
    )


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.json()["hint"]
    return answer.status_code, answer.json()["code"]


async def test_a_client_is_told_what_is_spoken(client: httpx.AsyncClient) -> None:
    for url in ("/v1/uploads", "/v1/uploads/any"):
        answer = await client.options(url)
        assert answer.status_code == 204
        assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
        assert set(answer.headers["tus-extension"].split(",")) == {
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "checksum",
            "expiration",
            "termination",
        }
        assert answer.headers["tus-checksum-algorithm"] == "sha256,sha1"
        assert int(answer.headers["tus-max-size"]) > 2**37


async def test_a_layer_in_two_requests(client: httpx.AsyncClient, served: Served) -> None:
    url = await begin(client)
    first = await send(client, url, LAYER[:700_001])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "700001")
    between = await client.head(url, headers=TUS)
    assert between.status_code == 200
    assert between.headers["upload-offset"] == "700001"
    assert between.headers["upload-length"] == str(len(LAYER))
    assert between.headers["upload-metadata"] == said()
    assert between.headers["cache-control"] == "no-store"
    expires = parsedate_to_datetime(between.headers["upload-expires"]).timestamp()
    assert expires > time.time() + 6 * 24 * 3600
    last = await send(client, url, LAYER[700_001:], 700_001)
    assert (last.status_code, last.headers["upload-offset"]) == (204, str(len(LAYER)))
    assert served.node.images.blobs.has(diff_id(LAYER))
    # Whoever did not hear of the last answer finds out, and does not send it again.
    after = await client.head(url, headers=TUS)
    assert after.headers["upload-offset"] == after.headers["upload-length"] == str(len(LAYER))
    again = await client.post(
        "/v1/uploads",
        headers={**TUS, "Upload-Length": str(len(LAYER)), "Upload-Metadata": said()},
    )
    assert problem(again) == (409, "blob.exists")


async def test_a_stream_of_unknown_length(client: httpx.AsyncClient, served: Served) -> None:
    text = b"again and again " * 100_000
    packed = compressed(text)
    answer = await client.post(
        "/v1/uploads",
        headers={
            **TUS,
            "Upload-Defer-Length": "1",
            "Upload-Metadata": said(text, size=str(len(text)), encoder="zstd-x/level3"),
        },
    )
    url = answer.headers["location"]
    assert (await client.head(url, headers=TUS)).headers["upload-defer-length"] == "1"

    async def stream() -> AsyncIterator[bytes]:
        yield packed[:100]
        yield packed[100:]

    answer = await client.patch(url, content=stream(), headers={**BYTES, "Upload-Offset": "0"})
    assert answer.headers["upload-offset"] == str(len(packed))
    length = {"Upload-Length": str(len(packed))}
    assert (await send(client, url, b"", len(packed), length)).status_code == 204
    assert served.node.images.blobs.get(diff_id(text)).size_bytes == len(text)


async def test_the_first_bytes_may_come_with_the_creation(
    client: httpx.AsyncClient, served: Served
) -> None:
    headers = {**BYTES, "Upload-Length": str(len(LAYER)), "Upload-Metadata": said()}
    answer = await client.post("/v1/uploads", headers=headers, content=LAYER[:1000])
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "1000")
    again = await client.post("/v1/uploads", headers=headers, content=LAYER[:10])
    assert again.headers["location"] == answer.headers["location"]
    assert again.headers["upload-offset"] == "1000"
    await send(client, answer.headers["location"], LAYER[1000:], 1000)
    assert served.node.images.blobs.has(diff_id(LAYER))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_checksums(client: httpx.AsyncClient, algorithm: str) -> None:
    url = await begin(client)
    digest = base64.b64encode(hashlib.new(algorithm, LAYER[:10]).digest()).decode()
    checksum = {"Upload-Checksum": f"{algorithm} {digest}"}
    wrong = await send(client, url, b"0123456789", headers=checksum)
    assert problem(wrong) == (460, "upload.checksum")
    assert (await client.head(url, headers=TUS)).headers["upload-offset"] == "0"
    right = await send(client, url, LAYER[:10], headers=checksum)
    assert (right.status_code, right.headers["upload-offset"]) == (204, "10")


@pytest.mark.parametrize(
    "checksum", ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha1", "sha256 &&&", "sha1 YWJj"]
)
async def test_checksums_that_do_not_fit(client: httpx.AsyncClient, checksum: str) -> None:
    url = await begin(client)
    answer = await send(client, url, b"x", headers={"Upload-Checksum": checksum})
    assert problem(answer) == (400, "upload.header")


async def test_a_wrong_offset_is_answered_with_the_right_one(client: httpx.AsyncClient) -> None:
    url = await begin(client)
    await send(client, url, LAYER[:1000])
    answer = await send(client, url, LAYER[:1000])
    assert problem(answer) == (409, "upload.offset")
    assert answer.headers["upload-offset"] == "1000"
    assert answer.json()["params"] == {"offset": 1000}


async def test_other_bytes_than_announced_are_not_kept(client: httpx.AsyncClient) -> None:
    url = await begin(client)
    answer = await send(client, url, LAYER[:-1] + b"?")
    assert problem(answer) == (422, "blob.digest")
    assert (await client.head(url, headers=TUS)).status_code == 404


async def test_the_other_writer_is_told_to_wait(client: httpx.AsyncClient, served: Served) -> None:
    url = await begin(client)
    go_on, begun = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield LAYER[:10]
        begun.set()
        await go_on.wait()
        yield LAYER[10:]

    headers = {**BYTES, "Upload-Offset": "0"}
    async with served.client() as other:
        writing = asyncio.create_task(other.patch(url, content=slowly(), headers=headers))
        await begun.wait()
        while not served.node.images.uploads.state(url.rpartition("/")[2]).writing:
            await served.node.images.uploads.next_change()
        answer = await send(client, url, LAYER)
        assert problem(answer) == (423, "upload.locked")
        assert answer.headers["retry-after"] == "1"
        go_on.set()
        assert (await writing).status_code == 204


async def test_a_cut_request_keeps_what_came(client: httpx.AsyncClient, served: Served) -> None:
    url = await begin(client)

    async def cut() -> AsyncIterator[bytes]:
        yield LAYER[:300_000]
        raise ConnectionError

    headers = {**BYTES, "Upload-Offset": "0", "Content-Length": str(len(LAYER))}
    async with served.client() as other:
        with pytest.raises(ConnectionError):
            await other.patch(url, content=cut(), headers=headers)
    uploads = served.node.images.uploads
    while uploads.state(url.rpartition("/")[2]).offset == 0:
        await uploads.next_change()
    answer = await client.head(url, headers=TUS)
    assert answer.headers["upload-offset"] == "300000"


async def test_removed_uploads_are_gone(client: httpx.AsyncClient, tmp_path: Path) -> None:
    url = await begin(client)
    await send(client, url, LAYER[:10])
    assert (await client.delete(url, headers=TUS)).status_code == 204
    assert problem(await client.delete(url, headers=TUS)) == (404, "upload.not_found")
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_the_method_may_be_in_a_header(client: httpx.AsyncClient, served: Served) -> None:
    url = await begin(client)

    async def post(method: str, data: bytes = b"", **headers: str) -> httpx.Response:
        override = {"X-HTTP-Method-Override": method}
        return await client.post(url, content=data, headers={**BYTES, **override, **headers})

    answer = await post("PATCH", LAYER[:5], **{"Upload-Offset": "0"})
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, "5")
    assert (await post("HEAD")).headers["upload-offset"] == "5"
    assert (await post("DELETE")).status_code == 204
    assert problem(await post("PUT")) == (405, "request.method")
    async with served.client("viewer") as viewer:
        actions = [record["action"] for record in (await viewer.get("/v1/audit")).json()]
    assert actions == ["upload.remove", "upload.create"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Tus-Resumable": "0.2.2"}, (412, "upload.version")),
        ({"Tus-Resumable": ""}, (412, "upload.version")),
        ({"Upload-Length": ""}, (400, "upload.header")),
        ({"Upload-Length": "-5"}, (400, "upload.header")),
        ({"Upload-Length": "٣"}, (400, "upload.header")),
        ({"Upload-Defer-Length": "1"}, (400, "upload.header")),
        ({"Upload-Metadata": ""}, (400, "upload.metadata")),
        ({"Upload-Metadata": "diff_id ***"}, (400, "upload.header")),
        ({"Upload-Metadata": "a YQ==,a YQ=="}, (400, "upload.header")),
        ({"Upload-Metadata": "a" * 5000}, (400, "upload.header")),
        ({"Upload-Length": str(2**48)}, (413, "upload.too_large")),
    ],
)
async def test_a_creation_that_does_not_fit(
    client: httpx.AsyncClient, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    given = {**TUS, "Upload-Length": str(len(LAYER)), "Upload-Metadata": said(), **headers}
    encoded = {name.encode(): value.encode() for name, value in given.items()}
    assert problem(await client.post("/v1/uploads", headers=encoded)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Type": "text/plain"}, (415, "request.media_type")),
        ({"Upload-Offset": "x"}, (400, "upload.header")),
        ({"Upload-Offset": ""}, (400, "upload.header")),
        ({"Upload-Length": "3"}, (409, "upload.length")),
        ({"Tus-Resumable": "2.0.0"}, (412, "upload.version")),
    ],
)
async def test_a_request_that_does_not_fit(
    client: httpx.AsyncClient, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    url = await begin(client)
    assert problem(await send(client, url, b"abc", headers=headers)) == expected


async def test_more_than_the_length_is_refused(client: httpx.AsyncClient) -> None:
    url = await begin(client)
    assert problem(await send(client, url, LAYER + b"!")) == (413, "upload.too_large")


async def test_a_viewer_may_look_only(client: httpx.AsyncClient, served: Served) -> None:
    url = await begin(client)
    async with served.client("viewer") as viewer:
        assert (await viewer.head(url, headers=TUS)).headers["upload-offset"] == "0"
        assert problem(await send(viewer, url, LAYER)) == (403, "auth.role")
        assert problem(await viewer.delete(url, headers=TUS)) == (403, "auth.role")
        assert problem(await viewer.post(url, headers=TUS)) == (403, "auth.role")
        assert problem(await viewer.post("/v1/uploads", headers=TUS)) == (403, "auth.role")


async def test_creations_are_in_the_audit_log_and_bytes_are_not(
    client: httpx.AsyncClient, served: Served
) -> None:
    url = await begin(client)
    await send(client, url, LAYER[:10])
    await send(client, url, LAYER[:10])
    async with served.client("viewer") as viewer:
        (record,) = (await viewer.get("/v1/audit")).json()
    assert (record["action"], record["subject"]) == ("upload.create", f"layer/{diff_id(LAYER)}")
    assert record["params"] == {"size_bytes": str(len(LAYER)), "encoder": "identity"}


async def test_a_simulated_node_hashes_and_drops_the_bytes(served: Served) -> None:
    async with served.client() as client:
        url = await begin(client)
        wrong = base64.b64encode(bytes(20)).decode()
        answer = await send(client, url, LAYER[:99], headers={"Upload-Checksum": f"sha1 {wrong}"})
        assert problem(answer) == (460, "upload.checksum")
        await send(client, url, LAYER[:1000])
        assert (await send(client, url, LAYER[1000:], 1000)).status_code == 204
        blobs = served.node.images.blobs
        assert [blob.diff_id for blob in await asyncio.to_thread(blobs.list)] == [diff_id(LAYER)]
        spoilt = await begin(client, b"other")
        assert problem(await send(client, spoilt, b"wrong")) == (422, "blob.digest")
