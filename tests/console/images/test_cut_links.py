"""Pushes over links that are cut, stall, or spoil what they carry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.archives.encoders import IDENTITY, encode, zstd_encoder
from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.protocol.images import Layer
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.link.link import LinkKind
from console.link.token import write_token
from tests.archives_made import COMPRESS, docker_archive
from tests.console.images.cutting import CuttingLink, cutting_link, cutting_port
from tests.console.images.pushing import (
    MIB,
    archive_of,
    client_over,
    image_agent,
    image_named,
    made,
    noise,
    push_over,
)
from tests.console.serving import ServedAgent

pytestmark = pytest.mark.timeout(60)

# Heads, plans with the image's config, the job and its log.
OVERHEAD_BYTES = 64 * 1024


@pytest.fixture
async def agent(short_folder: Path) -> AsyncIterator[ServedAgent]:
    async with image_agent(short_folder) as agent:
        yield agent


@pytest.fixture
async def link(agent: ServedAgent, short_folder: Path) -> AsyncIterator[CuttingLink]:
    async with cutting_link(short_folder / "link.sock", agent.socket) as link:
        yield link


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveIndex:
    layers = [noise(f"layer {n}", 3 * MIB) for n in range(3)]
    return archive_of(tmp_path / "app.tar", made("app:1", *layers))


def encoded_bytes(archive: ArchiveIndex, kind: LinkKind) -> int:
    """What all layers are on a link of that kind."""
    encoder = IDENTITY if kind == "unix" else zstd_encoder(3)
    total = 0
    for layer in archive.layers:
        with open_layer(archive, layer.diff_id) as reader:
            total += sum(map(len, encode(reader, encoder)))
    return total


@pytest.mark.parametrize("kind", ["unix", "ssh"])
async def test_five_cuts_lose_little(
    agent: ServedAgent, link: CuttingLink, archive: ArchiveIndex, short_folder: Path, kind: LinkKind
) -> None:
    payload = encoded_bytes(archive, kind)
    link.cuts = [payload * part // 6 for part in range(1, 6)]
    client = client_over(short_folder / "link.sock", kind)
    state = await push_over(client, archive).run()
    await client.close()
    assert state.problem is None
    assert link.cuts == []
    image = await image_named(agent, "app:1")
    assert image is not None
    assert image.diff_ids == archive.images[0].diff_ids
    assert state.images == {"app:1": image.id}
    assert link.up_bytes - payload <= 5 * MIB + OVERHEAD_BYTES
    # What was in the buffers of this machine when it was cut counts as sent.
    assert state.sent_bytes >= payload
    assert (state.done_bytes, state.total_bytes) == (sum(x.size_bytes for x in archive.layers),) * 2


async def test_five_cuts_of_tls(
    agent: ServedAgent, archive: ArchiveIndex, short_folder: Path
) -> None:
    payload = encoded_bytes(archive, "https")
    token = await asyncio.to_thread(agent.node.tokens.make, "maria", "operator")
    await asyncio.to_thread(write_token, short_folder / "token", token)
    async with cutting_port(agent.port) as (link, port):
        link.cuts = [payload * part // 6 for part in range(1, 6)]
        entry = NodeEntry(
            name="t4",
            address=f"https://127.0.0.1:{port}",
            fingerprint=agent.fingerprint,
            token_file=str(short_folder / "token"),
        )
        client = Links({}, owner="maria", timeout=5).client(entry)
        state = await push_over(client, archive).run()
        await client.close()
    assert (state.problem, link.cuts) == (None, [])
    assert link.up_bytes - payload <= 5 * MIB + 4 * OVERHEAD_BYTES
    assert await image_named(agent, "app:1") is not None


async def test_cuts_of_an_archive_that_is_compressed_as_a_whole(
    agent: ServedAgent, link: CuttingLink, short_folder: Path, tmp_path: Path
) -> None:
    image = made("app:1", *(noise(f"layer {n}", 2 * MIB) for n in range(3)))

    def packed() -> ArchiveIndex:
        (tmp_path / "app.tar.zst").write_bytes(COMPRESS["zstd"](docker_archive([image])))
        return index_archive(tmp_path / "app.tar.zst")

    archive = await asyncio.to_thread(packed)
    payload = sum(map(len, image.layers))
    link.cuts = [payload * part // 4 for part in range(1, 4)]
    client = client_over(short_folder / "link.sock")
    state = await push_over(client, archive).run()
    await client.close()
    assert (state.problem, link.cuts) == (None, [])
    assert link.up_bytes - payload <= 3 * MIB + OVERHEAD_BYTES
    found = await image_named(agent, "app:1")
    assert found is not None
    assert found.diff_ids == image.diff_ids


async def test_without_a_cut_each_byte_goes_once(
    agent: ServedAgent, link: CuttingLink, archive: ArchiveIndex, short_folder: Path
) -> None:
    client = client_over(short_folder / "link.sock")
    state = await push_over(client, archive).run()
    again = await push_over(client, archive).run()
    await client.close()
    payload = encoded_bytes(archive, "unix")
    assert (state.problem, state.sent_bytes) == (None, payload)
    assert link.up_bytes - payload <= OVERHEAD_BYTES
    assert (again.stage, again.job, again.sent_bytes) == ("done", None, 0)
    assert again.images == state.images
    assert await image_named(agent, "app:1") is not None


async def test_a_link_that_stalls(
    link: CuttingLink,
    archive: ArchiveIndex,
    short_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("console.link.uploads.PATIENCE_SECONDS", 0.5)
    payload = encoded_bytes(archive, "unix")
    link.stalls = [payload // 4, payload // 2]
    client = client_over(short_folder / "link.sock")
    troubles: set[str | None] = set()

    def changed() -> None:
        troubles.add(push.state.trouble)

    push = push_over(client, archive, on_change=changed)
    state = await push.run()
    await client.close()
    assert (state.problem, state.stage, link.stalls) == (None, "done", [])
    assert any(why and "did not answer in time" in why for why in troubles)


@pytest.mark.parametrize("after", [1, 40, 120, 400, 1500, 2500, 3000])
async def test_an_answer_that_is_cut_half_way(
    agent: ServedAgent, link: CuttingLink, archive: ArchiveIndex, short_folder: Path, after: int
) -> None:
    client = client_over(short_folder / "link.sock")
    # The first contact is not tried again.
    await client.node()
    link.cuts_down = [link.down_bytes * 2 + after, link.down_bytes * 2 + after + 1000]
    state = await push_over(client, archive).run()
    await client.close()
    assert (state.problem, link.cuts_down) == (None, [])
    assert await image_named(agent, "app:1") is not None
    assert len([job for job in agent.node.jobs.newest() if job.kind == "image.load"]) == 1


async def test_a_console_that_goes_away_and_comes_again(
    link: CuttingLink, archive: ArchiveIndex, short_folder: Path
) -> None:
    payload = encoded_bytes(archive, "ssh")

    async def push_until(enough: int) -> None:
        def changed() -> None:
            if link.up_bytes >= enough:
                running.cancel()

        client = client_over(short_folder / "link.sock", "ssh")
        running = asyncio.create_task(push_over(client, archive, on_change=changed).run())
        with pytest.raises(asyncio.CancelledError):
            await running
        await client.close()

    for part in (1, 2, 3):
        await push_until(part * payload // 4)
    sent = link.up_bytes
    client = client_over(short_folder / "link.sock", "ssh")
    state = await push_over(client, archive).run()
    await client.close()
    assert state.problem is None
    assert state.sent_bytes < payload
    assert sent + state.sent_bytes <= payload + 3 * MIB + OVERHEAD_BYTES


async def test_an_agent_that_stays_away(
    link: CuttingLink, archive: ArchiveIndex, short_folder: Path
) -> None:
    client = client_over(short_folder / "link.sock")

    def leave() -> None:
        if link.up_bytes > MIB and not link.away:
            link.away = True
            link.cut()

    state = await push_over(client, archive, give_up_seconds=0.5, on_change=leave).run()
    await client.close()
    assert state.problem is not None
    assert state.problem.code.startswith("link.")
    assert "keeps what it has" in (state.problem.hint or "")


async def test_who_was_never_reached_is_not_waited_for(
    link: CuttingLink, archive: ArchiveIndex, short_folder: Path
) -> None:
    link.away = True
    client = client_over(short_folder / "link.sock")
    state = await push_over(client, archive, give_up_seconds=3600.0).run()
    await client.close()
    assert state.problem is not None
    assert state.problem.code == "link.unreachable"
    assert state.job is None


async def test_bytes_that_change_on_the_way_are_sent_again(
    agent: ServedAgent, link: CuttingLink, archive: ArchiveIndex, short_folder: Path
) -> None:
    spoilt = 0

    def spoil(data: bytes) -> bytes:
        nonlocal spoilt
        if spoilt < 1 and len(data) > 30_000:
            spoilt += 1
            return data[:20_000] + bytes([data[20_000] ^ 1]) + data[20_001:]
        return data

    link.spoil = spoil
    client = client_over(short_folder / "link.sock")
    state = await push_over(client, archive).run()
    await client.close()
    assert (spoilt, state.problem) == (1, None)
    image = await image_named(agent, "app:1")
    assert image is not None
    assert image.diff_ids == archive.images[0].diff_ids


async def test_a_node_that_spoils_all_is_given_up(
    agent: ServedAgent, link: CuttingLink, archive: ArchiveIndex, short_folder: Path
) -> None:
    link.spoil = lambda data: (
        data[:20_000] + bytes([data[20_000] ^ 1]) + data[20_001:] if len(data) > 30_000 else data
    )
    client = client_over(short_folder / "link.sock")
    state = await push_over(client, archive).run()
    await client.close()
    assert state.problem is not None
    assert state.problem.code == "blob.digest"
    payload = encoded_bytes(archive, "unix")
    assert 2 * payload < state.sent_bytes <= 3 * payload
    assert await image_named(agent, "app:1") is None


async def test_another_consoles_upload_goes_on_as_it_was_begun(
    agent: ServedAgent, link: CuttingLink, archive: ArchiveIndex, short_folder: Path
) -> None:
    """Another level of zstd, half of which is there."""
    first = archive.layers[0]
    layer = Layer(diff_id=first.diff_id, size_bytes=first.size_bytes)
    encoder = zstd_encoder(7)
    with open_layer(archive, first.diff_id) as reader:
        encoded = b"".join(encode(reader, encoder))
    half = len(encoded) // 2

    async def pieces() -> AsyncIterator[bytes]:
        yield encoded[:half]

    other = client_over(agent.socket, owner="paul")
    upload = await other.uploads.begin(layer, encoder.name)
    assert upload is not None
    assert (
        await other.uploads.append(upload, pieces(), size_bytes=layer.size_bytes)
    ).offset == half
    await other.close()

    client = client_over(short_folder / "link.sock", "ssh")
    state = await push_over(client, archive).run()
    await client.close()
    assert state.problem is None
    others = encoded_bytes(archive, "ssh")
    with open_layer(archive, first.diff_id) as reader:
        others -= sum(map(len, encode(reader, zstd_encoder(3))))
    assert state.sent_bytes == others + len(encoded) - half


async def test_an_encoder_that_is_not_known_here_begins_anew(
    agent: ServedAgent, archive: ArchiveIndex
) -> None:
    first = archive.layers[0]
    layer = Layer(diff_id=first.diff_id, size_bytes=first.size_bytes)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"\x28\xb5\x2f\xfd"

    client = client_over(agent.socket, "ssh")
    upload = await client.uploads.begin(layer, "zstd-9.9.9/another/level3/threads0")
    assert upload is not None
    await client.uploads.append(upload, pieces(), size_bytes=layer.size_bytes)
    state = await push_over(client, archive).run()
    await client.close()
    assert (state.problem, state.sent_bytes) == (None, encoded_bytes(archive, "ssh"))
