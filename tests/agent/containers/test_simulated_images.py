"""Images of simulated nodes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from agent.containers.in_memory import InMemoryRuntime
from agent.containers.simulated_images import images_of
from agent.protocol.images import NodeImage
from agent.protocol.node import RuntimeFacts
from agent.protocol.problems import ProblemError
from tests.agent.containers.answers import container
from tests.agent.containers.archives import docker_archive, layer, oci_archive

STAGING = "roost.local/staging:1"
DETECTOR = msgspec.structs.replace(
    container(1, "detector"), image="edge/detector:2.4.1", image_id="sha256:" + "d" * 64
)
BASE, NEW = layer("base"), layer("new")


@pytest.fixture
def runtime() -> InMemoryRuntime:
    images = images_of([DETECTOR], architecture="arm64", at=1e9)
    return InMemoryRuntime(RuntimeFacts(state="ok"), [DETECTOR], images=images, now=lambda: 2e9)


async def code(of: object) -> str:
    with pytest.raises(ProblemError) as raised:
        await of  # type: ignore[misc]  # any of its methods
    return raised.value.code


async def test_the_containers_images_and_the_ones_before(runtime: InMemoryRuntime) -> None:
    before, now = await runtime.images()
    assert (before.tags, before.containers) == (["edge/detector:2.4.0"], [])
    assert (now.tags, now.containers) == (["edge/detector:2.4.1"], ["detector"])
    assert now.diff_ids[:3] == before.diff_ids[:3]
    assert now.diff_ids[3:] != before.diff_ids[3:]
    assert msgspec.convert(msgspec.to_builtins(now), NodeImage) == now  # as the wire wants it


@pytest.mark.parametrize("size", [101, 511, 512, 100_000])
async def test_a_load_reads_all_and_adds_the_image(runtime: InMemoryRuntime, size: int) -> None:
    archive = docker_archive(STAGING, [BASE, NEW])
    loaded = await runtime.load_image(archive.chunks(size), size_bytes=len(archive.data))
    assert loaded.names == [STAGING]
    image = await runtime.check_image(STAGING, diff_ids=archive.diff_ids)
    assert (image.id, image.architecture) == (archive.config_digest, "amd64")
    assert (image.size_bytes, image.created_at) == (len(BASE) + len(NEW), 2e9)


async def test_from_an_asynchronous_iterator_and_in_a_thread(runtime: InMemoryRuntime) -> None:
    archive = oci_archive(STAGING, [BASE])
    threads: set[int] = set()

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in archive.chunks():
            yield chunk

    def reads() -> Iterator[bytes]:
        threads.add(threading.get_ident())
        yield from archive.chunks()

    assert (await runtime.load_image(chunks())).names == [STAGING]
    await runtime.load_image(reads())
    assert threads
    assert threading.get_ident() not in threads
    assert (await runtime.image(STAGING)).id == archive.config_digest


async def test_layers_may_be_left_out_where_their_chain_is_there(
    runtime: InMemoryRuntime,
) -> None:
    partial = docker_archive(STAGING, [BASE, NEW], without=[0])
    assert await code(runtime.load_image(partial.chunks())) == "image.load_failed"
    await runtime.load_image(docker_archive("app:1", [BASE]).chunks())
    await runtime.load_image(partial.chunks())
    assert (await runtime.image(STAGING)).diff_ids == partial.diff_ids


@pytest.mark.parametrize("cut", [0, 100, 2000, -11_000])
async def test_a_bad_archive_changes_nothing(runtime: InMemoryRuntime, cut: int) -> None:
    before = await runtime.images()
    data = docker_archive(STAGING, [BASE]).data
    for bad in (data[:cut], b"hello" * 1000, data[1:]):
        assert await code(runtime.load_image(iter([bad]))) == "image.load_failed"
    assert await code(runtime.load_image(iter([data]), size_bytes=1)) == "image.load_failed"
    assert await runtime.images() == before


async def test_tags_and_removal(runtime: InMemoryRuntime) -> None:
    await runtime.load_image(docker_archive(STAGING, [BASE]).chunks())
    moved = await runtime.tag_image(STAGING, "docker.io/edge/detector:2.4.1")
    assert moved.tags == ["edge/detector:2.4.1", STAGING]
    assert (await runtime.image(DETECTOR.image_id)).tags == []
    await runtime.untag_image(STAGING)
    assert await code(runtime.untag_image("edge/detector:2.4.1")) == "image.last_tag"
    assert await code(runtime.image(STAGING)) == "image.not_found"
    assert await code(runtime.remove_image(DETECTOR.image_id)) == "image.in_use"
    removed = await runtime.remove_image("edge/detector:2.4.1")
    assert removed.deleted == [moved.id]
    assert await code(runtime.tag_image("edge/detector:2.4.0", "Not/This")) == "image.reference"
    assert await code(runtime.check_image("edge/detector:2.4.0", diff_ids=[])) == "image.broken"


async def test_one_that_is_away(runtime: InMemoryRuntime) -> None:
    runtime.set_away("dockerd is down")
    assert await code(runtime.images()) == "runtime.unreachable"
    runtime.set_away(None)
    assert len(await runtime.images()) == 2
    assert (await runtime.image_usage()).reason == "the node is simulated"
    await asyncio.sleep(0)
