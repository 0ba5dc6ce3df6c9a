"""Layers read ahead of a link: a damaged one ends the push early and frees its job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.archives.layers import LayerReader
from agent.archives.verified_cache import VerifiedCache
from agent.protocol.problems import ProblemError
from console.images import push as push_module
from console.images.push import PushState
from console.images.rate import RateLimit
from console.images.vetting import Vetting
from console.link.link import LinkKind
from tests.archives_made import COMPRESS, docker_archive
from tests.console.images.pushing import (
    MIB,
    client_over,
    image_agent,
    image_named,
    made,
    noise,
    push_over,
)
from tests.console.serving import ServedAgent

pytestmark = pytest.mark.timeout(60)

GOOD, BAD = noise("good", 300_000), noise("bad", 300_000)
IMAGE = made("app:1", GOOD, BAD)


@pytest.fixture
async def agent(short_folder: Path) -> AsyncIterator[ServedAgent]:
    async with image_agent(short_folder) as agent:
        yield agent


@pytest.fixture
def cache(tmp_path: Path) -> VerifiedCache:
    return VerifiedCache(tmp_path / "verified")


def whole(folder: Path) -> ArchiveIndex:
    file = folder / "whole.tar"
    file.write_bytes(docker_archive([IMAGE]))
    return index_archive(file)


def broken(folder: Path) -> ArchiveIndex:
    content = docker_archive([IMAGE])
    place = content.index(BAD) + len(BAD) // 2
    file = folder / "broken.tar"
    file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    return index_archive(file)


async def pushed(
    agent: ServedAgent,
    archive: ArchiveIndex,
    cache: VerifiedCache,
    *,
    kind: LinkKind = "ssh",
    bytes_per_second: int | None = None,
) -> PushState:
    client = client_over(agent.socket, kind)
    vetting = Vetting(cache)
    limit = RateLimit(bytes_per_second)
    try:
        return await push_over(client, archive, limit=limit, vetting=vetting).run()
    finally:
        await vetting.stop()
        await client.close()


async def test_a_damaged_layer_ends_it_before_it_was_sent(
    agent: ServedAgent, cache: VerifiedCache, tmp_path: Path
) -> None:
    archive = broken(tmp_path)
    # At this rate the layers would take minutes.
    state = await pushed(agent, archive, cache, bytes_per_second=1000)
    problem = state.problem
    assert problem is not None
    assert problem.code == "archive.layer_corrupt"
    assert IMAGE.diff_ids[1] in problem.detail
    assert problem.params["diff_id"] == IMAGE.diff_ids[1]
    assert state.sent_bytes < 100_000
    [job] = agent.node.jobs.newest()
    assert problem.params["job"] == job.id
    assert f"Its job {job.id} was cancelled." in (problem.hint or "")
    async for _ in agent.node.jobs.log(job.id, follow=True):
        pass  # until it has ended
    assert agent.node.jobs.get(job.id).state == "cancelled"
    assert await image_named(agent, "app:1") is None
    # The good one is known to be; of the bad one nothing is kept: it is looked at again.
    assert cache.unverified(archive) == {IMAGE.diff_ids[1]}


async def test_a_whole_one_is_read_once_for_all_nodes(
    agent: ServedAgent, cache: VerifiedCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = whole(tmp_path)
    places = dict.fromkeys(IMAGE.diff_ids, archive)
    vetting = Vetting(cache)
    read: list[str] = []
    plain = LayerReader.read

    def counted(reader: LayerReader, count: int) -> bytes:
        if reader.position == 0:
            read.append(reader.layer.diff_id)
        return plain(reader, count)

    monkeypatch.setattr(LayerReader, "read", counted)
    assert cache.unverified(archive) == set(IMAGE.diff_ids)
    await asyncio.gather(*(vetting.check(places) for _ in range(3)))
    await vetting.stop()
    assert sorted(read) == sorted(IMAGE.diff_ids)
    assert cache.unverified(archive) == set()
    again = Vetting(cache)
    await again.check(places)
    await again.stop()
    assert len(read) == 2
    assert (await pushed(agent, archive, cache)).problem is None


async def test_a_job_of_before_is_left_alone(
    agent: ServedAgent, cache: VerifiedCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = broken(tmp_path)
    client = client_over(agent.socket)
    push = push_over(client, archive)
    first = await push.run()  # without looking ahead: its job waits for a whole copy
    await client.close()
    assert first.job is not None
    monkeypatch.setattr(push_module, "CLOCK_SECONDS", 0.0)
    state = await pushed(agent, archive, cache)
    assert state.problem is not None
    assert "job" not in state.problem.params
    assert f"roost job cancel {first.job.id}" in (state.problem.hint or "")
    assert agent.node.jobs.get(first.job.id).state == "running"


async def test_the_local_socket_is_not_slowed(
    agent: ServedAgent, cache: VerifiedCache, tmp_path: Path
) -> None:
    archive = whole(tmp_path)
    assert (await pushed(agent, archive, cache, kind="unix")).problem is None
    assert cache.unverified(archive) == set(IMAGE.diff_ids)


async def test_what_was_read_when_it_was_indexed_is_not_read_again(
    cache: VerifiedCache, tmp_path: Path
) -> None:
    file = tmp_path / "app.tar.gz"
    file.write_bytes(COMPRESS["gzip"](docker_archive([IMAGE])))
    assert cache.unverified(index_archive(file)) == set()


async def test_another_file_of_that_name_is_another_archive(
    cache: VerifiedCache, tmp_path: Path
) -> None:
    archive = whole(tmp_path)
    cache.add(archive, IMAGE.diff_ids)
    assert cache.unverified(archive) == set()
    (tmp_path / "whole.tar").write_bytes(docker_archive([IMAGE, made("b:1", noise("b", MIB))]))
    after = index_archive(tmp_path / "whole.tar")
    assert cache.unverified(after) == {layer.diff_id for layer in after.layers}


async def test_each_push_hears_of_it(cache: VerifiedCache, tmp_path: Path) -> None:
    vetting = Vetting(cache)
    places = dict.fromkeys(IMAGE.diff_ids, broken(tmp_path))
    for _ in range(2):
        with pytest.raises(ProblemError):
            await vetting.check(places)
    await vetting.stop()
