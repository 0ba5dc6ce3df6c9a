"""Layers from a seed, over real TLS: whole, resumed, refused, and damaged on the way."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest
import zstandard

from agent.http.sockets import listen_tcp
from agent.images.upload_record import UploadRecord
from agent.jobs.jobs import Jobs
from agent.protocol.images import Layer
from agent.protocol.problems import ProblemError
from agent.protocol.site import FetchRequest
from agent.site import fetching, node_site, seed_server
from agent.site.node_site import NodeSite
from agent.store.database import Database
from tests.agent.images.layers import (
    compressed,
    diff_id,
    noise,
    pieces,
    plain_record,
    zstd_record,
)
from tests.agent.site.pair import Side, side

PLAIN, PACKED = noise(3_000_000, 1), b"some words " * 200_000 + noise(500_000, 2)
LARGE = noise(20_000_000, 3)


def code(problem: object) -> object:
    return getattr(problem, "code", None)


async def test_layers_arrive_as_they_are_stored(seed: Side, node: Side) -> None:
    plain, packed = await seed.put(PLAIN), await seed.put(PACKED, encoder="zstd-a")
    job = await node.fetch(await seed.grant(plain, packed), [plain, packed])
    assert (job.state, job.problem) == ("succeeded", None)
    assert node.stored(plain) == PLAIN
    assert node.stored(packed) == seed.stored(packed) == compressed(PACKED)
    assert job.result == {
        "from": "seed",
        "received_bytes": str(len(PLAIN) + len(compressed(PACKED))),
    }
    with node.blobs.open(packed.diff_id) as file:
        assert file.read() == PACKED


async def test_what_is_there_is_not_fetched_again(seed: Side, node: Side) -> None:
    layer = await seed.put(PLAIN)
    await node.put(PLAIN)
    job = await node.fetch(await seed.grant(layer), [layer])
    assert (job.state, job.result["received_bytes"]) == ("succeeded", "0")


@pytest.mark.parametrize("encoder", [None, "zstd-a"])
async def test_it_goes_on_where_a_console_stopped(
    seed: Side, node: Side, encoder: str | None
) -> None:
    data, stored = (PACKED, compressed(PACKED)) if encoder else (PLAIN, PLAIN)
    layer = await seed.put(data, encoder=encoder)
    # A console says the length of what it compresses only at its end.
    record = zstd_record(data, encoder=encoder) if encoder else plain_record(data)
    began = await node.images.uploads.create(record)
    part = len(stored) // 3
    await node.images.uploads.receive(began.record.id, 0, pieces(stored[:part]))
    job = await node.fetch(await seed.grant(layer), [layer])
    assert (job.state, job.problem) == ("succeeded", None)
    assert job.result["received_bytes"] == str(len(stored) - part)
    assert node.stored(layer) == stored


async def test_a_console_goes_on_where_a_fetch_stopped(seed: Side, node: Side) -> None:
    layer = await seed.put(PACKED, encoder="zstd-a")
    record = await _cut_amid(seed, node, layer)
    stored = compressed(PACKED)
    state = await node.images.uploads.create(zstd_record(PACKED, encoder="zstd-a"))
    assert (state.record.id, state.offset) == (record.id, len(stored) // 2)
    await node.images.uploads.receive(
        record.id, state.offset, pieces(stored[state.offset :]), length=len(stored)
    )
    assert node.stored(layer) == stored


async def test_another_encoder_starts_anew(seed: Side, node: Side) -> None:
    layer = await seed.put(PACKED, encoder="zstd-a")
    began = await node.images.uploads.create(zstd_record(PACKED, encoder="zstd-b"))
    other = zstandard.ZstdCompressor(level=9).compress(PACKED)
    await node.images.uploads.receive(began.record.id, 0, pieces(other[:200_000]))
    job = await node.fetch(await seed.grant(layer), [layer])
    assert job.state == "succeeded"
    assert job.result["received_bytes"] == str(len(compressed(PACKED)))


async def test_a_forgotten_encoder_is_not_taken_for_a_consoles(tmp_path: Path, node: Side) -> None:
    async with side(tmp_path / "before", name="seed") as before:
        layer = await before.put(PACKED, encoder="zstd-a")
    for file in (tmp_path / "before" / "uploads").iterdir():
        file.unlink()
    async with side(tmp_path / "before", name="seed", listens=True) as seed:
        record = await _cut_amid(seed, node, layer)
        assert record.encoder.startswith("zstd/as-stored/")
        job = await node.fetch(await seed.grant(layer), [layer])
    assert job.state == "succeeded"
    assert job.result["received_bytes"] == str(
        len(compressed(PACKED)) - len(compressed(PACKED)) // 2
    )


async def test_another_seed_goes_on_where_one_died(
    tmp_path: Path, node: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(seed_server, "PIECE_BYTES", 64 * 1024)
    async with side(tmp_path / "first", name="first", listens=True) as first:
        layer = await first.put(LARGE)
        server = first.site._server
        assert server is not None
        request = FetchRequest(grant=await first.grant(layer), layers=[layer])
        job = await node.site.fetch(request, owner="maria", key=None)
        while server.sent_bytes < len(LARGE) // 4:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0)
    failed = await node.ended(job)
    assert code(failed.problem) in {"site.unreachable", "site.cut"}
    came = node.images.uploads.find(layer.diff_id)
    assert came is not None
    assert 0 < came.offset < len(LARGE)
    async with side(tmp_path / "second", name="second", listens=True) as second:
        await second.put(LARGE)
        rest = await node.fetch(await second.grant(layer), [layer])
    assert rest.state == "succeeded"
    assert rest.result["received_bytes"] == str(len(LARGE) - came.offset)
    assert node.stored(layer) == LARGE


async def test_a_grant_ends_with_the_agent(tmp_path: Path, node: Side) -> None:
    async with side(tmp_path / "seed", name="seed", listens=True) as first:
        layer = await first.put(PLAIN)
        old = await first.grant(layer)
    async with side(tmp_path / "seed", name="seed", listens=True) as again:
        new = await again.grant(layer)
        job = await node.fetch(msgspec.structs.replace(new, secret=old.secret), [layer])
        assert code(job.problem) == "site.refused"
        assert (await node.fetch(new, [layer])).state == "succeeded"


async def test_a_wrong_secret_and_an_expired_one_are_refused(seed: Side, node: Side) -> None:
    layer = await seed.put(PLAIN)
    grant = await seed.grant(layer, seconds=600)
    wrong = msgspec.structs.replace(grant, secret="x" * 43)
    assert code((await node.fetch(wrong, [layer])).problem) == "site.refused"
    seed.site._grants._clock = lambda: 1e12
    assert code((await node.fetch(grant, [layer])).problem) == "site.refused"
    assert not node.blobs.has(layer.diff_id)


async def test_what_is_not_granted_is_not_served_and_not_told(seed: Side, node: Side) -> None:
    granted, other = await seed.put(PLAIN), await seed.put(PACKED)
    grant = await seed.grant(granted)
    nowhere = Layer(diff_id=diff_id(b"nowhere"), size_bytes=7)
    there = await node.fetch(grant, [other])
    absent = await node.fetch(await seed.grant(nowhere), [nowhere])
    assert code(there.problem) == code(absent.problem) == "site.lacks"


async def test_another_certificate_is_sent_nothing(seed: Side, node: Side) -> None:
    layer = await seed.put(PLAIN)
    grant = await seed.grant(layer)
    other = msgspec.structs.replace(grant, fingerprint=diff_id(b"another"))
    job = await node.fetch(other, [layer])
    assert code(job.problem) == "site.fingerprint"
    assert seed.site._server is not None
    assert seed.site._server.sent_bytes == 0


async def test_the_next_address_is_tried(seed: Side, node: Side) -> None:
    layer = await seed.put(PLAIN)
    grant = await seed.grant(layer)
    more = msgspec.structs.replace(grant, addresses=["127.0.0.1:1", *grant.addresses])
    assert (await node.fetch(more, [layer])).state == "succeeded"


async def test_a_seed_that_is_not_there(seed: Side, node: Side) -> None:
    layer = Layer(diff_id=diff_id(PLAIN), size_bytes=len(PLAIN))
    grant = msgspec.structs.replace(await seed.grant(layer), addresses=["127.0.0.1:1"])
    job = await node.fetch(grant, [layer])
    assert job.problem is not None
    assert job.problem.code == "site.unreachable"
    assert "Connection refused" in job.problem.detail


@pytest.mark.parametrize("packed", [False, True])
async def test_bytes_that_rotted_on_the_seed_are_not_kept(
    seed: Side, node: Side, packed: bool
) -> None:
    data = PACKED if packed else PLAIN
    layer = await seed.put(data, encoder="zstd-a" if packed else None)
    (path,) = seed.blobs.folder.glob(f"{layer.diff_id[7:]}*")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"rotten")
    job = await node.fetch(await seed.grant(layer), [layer])
    assert code(job.problem) in {"blob.digest", "blob.encoding"}
    assert not node.blobs.has(layer.diff_id)
    assert node.images.uploads.find(layer.diff_id) is None
    assert list((node.folder / "uploads").iterdir()) == []


async def test_a_fetch_goes_on_after_the_agent_was_stopped(seed: Side, tmp_path: Path) -> None:
    layer = await seed.put(PLAIN)
    grant = await seed.grant(layer)
    async with side(tmp_path / "other", name="other") as other:
        began = await other.images.uploads.create(plain_record(PLAIN))
        await other.images.uploads.receive(began.record.id, 0, pieces(PLAIN[:1_000_000]))
    async with side(tmp_path / "other", name="other") as again:
        job = await again.fetch(grant, [layer])
    assert job.result["received_bytes"] == "2000000"


async def test_an_address_that_comes_up_later(seed: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site's network may be up after the agent; the agent starts all the same."""
    monkeypatch.setattr(node_site, "LISTEN_AGAIN_SECONDS", 0.01)
    tried: list[int] = []

    def late() -> socket.socket:
        tried.append(len(tried))
        return listen_tcp("192.0.2.77:7444" if len(tried) < 3 else "127.0.0.1:0")

    assert seed.site._wanted is not None
    site = NodeSite(name="late", images=seed.images, jobs=Jobs(Database(None)))
    site.listen(late, seed.site._wanted.context, seed.site._wanted.fingerprint)
    await site.start()
    try:
        first = await site.status()
        assert (first.listening, first.addresses) == (False, [])
        assert "192.0.2.77:7444" in (first.reason or "")
        while not (await site.status()).listening:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.01)
    finally:
        await site.stop()
    assert len(tried) == 3


async def test_only_who_listens_makes_grants(node: Side) -> None:
    status = await node.site.status()
    assert (status.listening, status.addresses) == (False, [])
    assert status.reason
    with pytest.raises(ProblemError) as raised:
        await node.grant(Layer(diff_id=diff_id(b"x"), size_bytes=1))
    assert raised.value.code == "site.off"


async def _cut_amid(seed: Side, node: Side, layer: Layer) -> UploadRecord:
    """Fetch half of a layer; its upload's record."""
    from agent.site.seed_client import SeedClient

    answer = await SeedClient(await seed.grant(layer)).get(layer.diff_id, 0)
    record = fetching._record(layer, answer.layer)
    await node.images.uploads.create(record)
    half = answer.layer.stored_bytes // 2
    got = b""
    async for piece in answer.pieces():
        got += piece
        if len(got) >= half:
            break
    answer.close()
    await node.images.uploads.receive(record.id, 0, pieces(got[:half]))
    await asyncio.sleep(0)
    return record
