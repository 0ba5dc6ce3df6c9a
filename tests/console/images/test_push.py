"""Pushes to an agent: archives of all kinds, other consoles, cancelled jobs, limits and budgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.protocol.images import Layer
from console.images.push import PushState
from console.images.rate import RateLimit
from tests.archives_made import COMPRESS, OciLayout, docker_archive, oci_archive, tar
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

BASE = [noise("base", MIB), noise("libs", 300_000)]


@pytest.fixture
async def agent(short_folder: Path) -> AsyncIterator[ServedAgent]:
    async with image_agent(short_folder) as agent:
        yield agent


async def indexed(file: Path, content: bytes) -> ArchiveIndex:
    def write_and_index() -> ArchiveIndex:
        file.write_bytes(content)
        return index_archive(file)

    return await asyncio.to_thread(write_and_index)


async def pushed(agent: ServedAgent, *archives: ArchiveIndex) -> PushState:
    client = client_over(agent.socket)
    state = await push_over(client, *archives).run()
    await client.close()
    return state


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd", "xz", "bzip2"])
async def test_archives_of_each_compression(
    agent: ServedAgent, tmp_path: Path, compression: str
) -> None:
    first = made("app:1", *BASE, noise("one", 200_000))
    second = made("app:2", *BASE, noise("two", 100_000))
    pack = COMPRESS[compression]
    state = await pushed(agent, await indexed(tmp_path / "one.tar", pack(docker_archive([first]))))
    assert state.problem is None
    assert state.sent_bytes == sum(map(len, first.layers))
    state = await pushed(agent, await indexed(tmp_path / "two.tar", pack(docker_archive([second]))))
    assert (state.problem, state.sent_bytes) == (None, len(second.layers[-1]))
    image = await image_named(agent, "app:2")
    assert image is not None
    assert (image.diff_ids, image.config_digest) == (second.diff_ids, state.images["app:2"])


@pytest.mark.parametrize("docker", [False, True])
async def test_an_oci_layout(agent: ServedAgent, tmp_path: Path, docker: bool) -> None:
    image = made("app:1", *BASE)
    state = await pushed(
        agent, await indexed(tmp_path / "a.tar", oci_archive([image], docker=docker))
    )
    assert (state.problem, state.sent_bytes) == (None, sum(map(len, BASE)))
    found = await image_named(agent, "app:1")
    assert found is not None
    assert found.diff_ids == image.diff_ids


async def test_of_several_platforms_the_nodes_own_is_sent(
    agent: ServedAgent, tmp_path: Path
) -> None:
    ours, others = made("app:1", *BASE), made("app:1", noise("arm", 500_000), architecture="arm64")
    layout = OciLayout()
    layout.add(layout.index([layout.image(others), layout.image(ours)]), "docker.io/library/app:1")
    state = await pushed(agent, await indexed(tmp_path / "a.tar", tar(layout.files())))
    assert (state.problem, state.sent_bytes) == (None, sum(map(len, BASE)))


async def test_an_archive_for_others_is_refused_before_anything_happens(
    agent: ServedAgent, tmp_path: Path
) -> None:
    archive = archive_of(tmp_path / "arm.tar", made("app:1", *BASE, architecture="arm64"))
    state = await pushed(agent, archive)
    assert state.problem is not None
    assert state.problem.code == "archive.platform"
    assert (state.job, state.sent_bytes) == (None, 0)
    assert agent.node.jobs.newest() == []


async def test_several_archives_are_one_push(agent: ServedAgent, tmp_path: Path) -> None:
    """Layers and images that are in several of them are sent once."""
    app, tool = made("app:1", *BASE, noise("app", 50_000)), made("tool:1", *BASE)
    same = made("tool:latest", *BASE)
    archives = [
        archive_of(tmp_path / "app.tar", app),
        await indexed(tmp_path / "tool.tar.gz", COMPRESS["gzip"](docker_archive([tool]))),
        archive_of(tmp_path / "same.tar", same),
    ]
    state = await pushed(agent, *archives)
    assert state.problem is None
    assert state.sent_bytes == sum(map(len, app.layers))
    assert set(state.images) == {"app:1", "tool:1", "tool:latest"}
    assert state.images["tool:1"] == state.images["tool:latest"]
    assert state.job is not None
    assert [job.id for job in agent.node.jobs.newest()] == [state.job.id]


async def test_two_images_of_one_name_are_refused(agent: ServedAgent, tmp_path: Path) -> None:
    one = archive_of(tmp_path / "one.tar", made("app:1", noise("one", 9000)))
    two = archive_of(tmp_path / "two.tar", made("app:1", noise("two", 9000)))
    state = await pushed(agent, one, two)
    assert state.problem is not None
    assert state.problem.code == "archive.tag_twice"
    assert "app:1" in state.problem.detail
    assert "two.tar" in state.problem.detail


async def test_damage_is_found_while_sending_and_a_whole_copy_goes_on(
    agent: ServedAgent, tmp_path: Path
) -> None:
    image = made("app:1", *BASE)
    whole = docker_archive([image])
    place = whole.index(BASE[0]) + len(BASE[0]) // 2
    broken = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    state = await pushed(agent, await indexed(tmp_path / "broken.tar", broken))
    assert state.problem is not None
    assert state.job is not None
    assert state.problem.code == "archive.layer_corrupt"
    assert "layer.tar" in state.problem.detail
    assert f"roost job cancel {state.job.id}" in (state.problem.hint or "")
    assert await image_named(agent, "app:1") is None

    again = await pushed(agent, await indexed(tmp_path / "whole.tar", whole))
    assert again.problem is None
    assert again.job is not None
    assert again.job.id == state.job.id  # the one that waited
    found = await image_named(agent, "app:1")
    assert found is not None
    assert found.diff_ids == image.diff_ids


async def test_an_archive_that_changes_is_told(agent: ServedAgent, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", *BASE))
    (tmp_path / "app.tar").write_bytes(docker_archive([made("app:1", *BASE, noise("n", 9000))]))
    state = await pushed(agent, archive)
    assert state.problem is not None
    assert state.problem.code == "archive.changed"


async def test_an_archive_that_shrinks_while_it_is_read(agent: ServedAgent, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", noise("only", 8 * MIB)))
    client = client_over(agent.socket)

    def changed() -> None:
        if push.state.sent_bytes > MIB and (tmp_path / "app.tar").stat().st_size > 2 * MIB:
            with (tmp_path / "app.tar").open("r+b") as file:
                file.truncate(2 * MIB)

    push = push_over(client, archive, on_change=changed)
    state = await push.run()
    await client.close()
    assert state.problem is not None
    assert state.problem.code == "archive.layer_corrupt"
    assert await image_named(agent, "app:1") is None


async def test_what_another_console_sends_is_waited_for(agent: ServedAgent, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", *BASE))
    layer = Layer(diff_id=archive.layers[0].diff_id, size_bytes=archive.layers[0].size_bytes)
    others_begun, ours_told = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        """Never silent for so long that it would be taken over."""
        yield BASE[0][:10]
        others_begun.set()
        for at in range(10, 1_000_000):
            if ours_told.is_set():
                yield BASE[0][at:]
                return
            yield BASE[0][at : at + 1]
            await asyncio.sleep(0.05)

    other = client_over(agent.socket, owner="paul")
    upload = await other.uploads.begin(layer, "identity")
    assert upload is not None
    sending = asyncio.create_task(
        other.uploads.append(upload, slowly(), size_bytes=layer.size_bytes)
    )
    await others_begun.wait()

    def changed() -> None:
        if "another request writes" in (push.state.trouble or ""):
            ours_told.set()

    client = client_over(agent.socket)
    push = push_over(client, archive, on_change=changed)
    state = await push.run()
    await client.close()
    assert (await sending).offset == layer.size_bytes
    await other.close()
    assert ours_told.is_set()
    assert (state.problem, state.sent_bytes) == (None, len(BASE[1]))


async def test_two_consoles_share_one_job(agent: ServedAgent, tmp_path: Path) -> None:
    layers = [noise(f"layer {n}", MIB) for n in range(6)]
    archive = archive_of(tmp_path / "app.tar", made("app:1", *layers))
    first, second = await asyncio.gather(pushed(agent, archive), pushed(agent, archive))
    assert (first.problem, second.problem) == (None, None)
    assert first.job is not None
    assert second.job is not None
    assert first.job.id == second.job.id
    assert first.images == second.images
    # Each may have begun what the other one then took over.
    assert first.sent_bytes + second.sent_bytes <= 2 * sum(map(len, layers))
    assert len(agent.node.jobs.newest()) == 1


async def test_a_job_that_is_cancelled_elsewhere_ends_the_push(
    agent: ServedAgent, tmp_path: Path
) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", noise("large", 8 * MIB)))
    client, other = client_over(agent.socket), client_over(agent.socket, owner="paul")
    cancelling: list[asyncio.Task[object]] = []

    def changed() -> None:
        job = push.state.job
        if push.state.sent_bytes and job and not cancelling:
            cancelling.append(asyncio.create_task(other.cancel_job(job.id)))

    push = push_over(client, archive, limit=RateLimit(MIB), on_change=changed)
    state = await push.run()
    await cancelling[0]
    await client.close()
    await other.close()
    assert state.problem is not None
    assert state.problem.code == "job.unsuccessful"
    assert "cancelled by paul" in state.problem.detail
    assert state.sent_bytes < len(archive.layers) * 8 * MIB
    assert await image_named(agent, "app:1") is None


async def test_a_budget_ends_a_push_that_can_go_on(agent: ServedAgent, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", *BASE))
    payload = sum(map(len, BASE))
    left = payload
    jobs = set()
    while left > 500_000:
        client = client_over(agent.socket)
        state = await push_over(client, archive, budget_bytes=500_000).run()
        await client.close()
        assert state.problem is not None
        assert state.problem.code == "push.budget"
        assert "488 KiB were sent" in state.problem.detail
        assert "run the same command again" in (state.problem.hint or "")
        assert state.sent_bytes == 500_000
        assert state.job is not None
        jobs.add(state.job.id)
        left -= 500_000
    client = client_over(agent.socket)
    state = await push_over(client, archive, budget_bytes=left).run()
    await client.close()
    assert (state.problem, state.sent_bytes) == (None, left)
    assert state.job is not None
    assert jobs == {state.job.id}


async def test_a_budget_over_zstd_ends_cleanly(agent: ServedAgent, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", *BASE))
    sent = 0
    for _ in range(20):
        client = client_over(agent.socket, "ssh")
        state = await push_over(client, archive, budget_bytes=100_000).run()
        await client.close()
        sent += state.sent_bytes
        if state.problem is None:
            break
        assert state.problem.code == "push.budget"
        assert state.sent_bytes == 100_000
    client = client_over(agent.socket, "ssh")
    whole = await push_over(client, archive).run()
    await client.close()
    assert (whole.stage, whole.job) == ("done", None)
    assert sent < sum(map(len, BASE))


async def test_a_limit_holds_over_all_nodes(short_folder: Path, tmp_path: Path) -> None:
    """By the limit's own clock: nothing is timed here."""
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await asyncio.sleep(0)

    limit = RateLimit(1_000_000, clock=lambda: now, sleep=sleep)
    archive = archive_of(tmp_path / "app.tar", made("app:1", *BASE))
    for name in ("a", "b"):
        (short_folder / name).mkdir()
    async with image_agent(short_folder / "a") as one, image_agent(short_folder / "b") as two:
        clients = [client_over(agent.socket) for agent in (one, two)]
        states = await asyncio.gather(
            *(push_over(client, archive, limit=limit).run() for client in clients)
        )
        for client in clients:
            await client.close()
    assert [state.problem for state in states] == [None, None]
    assert now >= 2 * sum(map(len, BASE)) / 1_000_000 - 1


async def test_layers_that_go_missing_are_asked_for_again(
    agent: ServedAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job waits on although all was sent: what it lacks is asked anew."""
    monkeypatch.setattr("console.images.push.ASK_AGAIN_SECONDS", 0.5)
    monkeypatch.setattr("console.images.push.LOOK_SECONDS", 0.1)
    archive = archive_of(tmp_path / "app.tar", made("app:1", *BASE))
    client = client_over(agent.socket)
    blobs = agent.node.images.blobs
    gone: list[str] = []

    def changed() -> None:
        first = archive.layers[0].diff_id
        if not gone and blobs.has(first):
            gone.append(first)
            blobs.remove(first)

    push = push_over(client, archive, on_change=changed)
    state = await push.run()
    await client.close()
    assert gone
    assert state.problem is None
    assert state.sent_bytes == len(BASE[0]) + sum(map(len, BASE))
