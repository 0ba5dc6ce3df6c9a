"""Making room on a real Docker: what Roost brought and nobody needs goes, the rest stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.images import freeing
from agent.images.space import SPARE_BYTES, DiskFree
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import docker
from tests.agent.images.image_side import ImageSide
from tests.agent.images.layers import diff_id, noise
from tests.archives_made import Made, docker_archive, layer, tar
from tests.real.docker_engine import DockerEngine
from tests.waiting import until

pytestmark = pytest.mark.real

MB = 1_000_000
BASE = layer("base", 100_000)


def made(name: str, *tags: str, over: bytes = BASE) -> Made:
    """An image of 2 MB over a base."""
    return Made([over, tar({name: noise(2 * MB, seed=len(name) + ord(name[0]))})], tags=tags)


def grants(
    side: ImageSide, engine: DockerEngine, gone: dict[str, int], *, free_bytes: int = 5 * MB
) -> None:
    """A disk that has so much free, and more for each image that is gone."""

    def free(path: Path) -> DiskFree:
        there = engine.docker("images", "--quiet", "--no-trunc").split()
        freed = sum(size for image, size in gone.items() if image not in there)
        return DiskFree(1, SPARE_BYTES + free_bytes + freed)

    side.images._space._free = free


async def test_what_goes_and_what_stays(
    docker_side: ImageSide, graphdriver: DockerEngine, tmp_path: Path
) -> None:
    side = docker_side
    ids: dict[str, str] = {}
    for name in ("used", "spare", "later"):
        job = await side.push(made(name, f"{name}:1", f"{name}:stable", over=layer(name)))
        ids[name] = job.result[f"{name}:1"]
    # Shares the base that the new image counts on.
    ids["sharing"] = (await side.push(made("sharing", "sharing:1"))).result["sharing:1"]
    ids["before"] = (await side.push(made("before", "app:1"))).result["app:1"]
    ids["after"] = (await side.push(made("after", "app:1"))).result["app:1"]
    await docker(graphdriver, "create", "--name", "user", "used:1")
    # Somebody else's: Roost did not load it.
    theirs = tmp_path / "theirs.tar"
    theirs.write_bytes(docker_archive([made("theirs", "theirs:1")]))
    await docker(graphdriver, "load", "--input", str(theirs))
    for blob in side.images.blobs.list():
        side.images.blobs.remove(blob.diff_id)
    new = made("new", "new:1")
    await side.send(new.layers[1])

    grants(side, graphdriver, {ids["spare"]: 2 * MB}, free_bytes=3 * MB)
    plan = await side.plan(new)
    assert [(item.kind, item.name) for item in plan.frees] == [("image", "spare:1")]
    assert plan.frees[0].size_bytes >= 2 * MB
    [problem] = plan.problems
    assert (problem.code, problem.params["images"]) == ("space.short", ["spare:1"])
    assert "removing 1 image would make room: spare:1 (" in problem.detail
    assert "--make-room" in (problem.hint or "")
    with pytest.raises(ProblemError) as raised:
        await side.load(new)
    assert raised.value.problem() == problem
    assert (await side.plan(new, make_room=True)).problems == []
    assert set(ids.values()) <= set(
        (await docker(graphdriver, "images", "-aq", "--no-trunc")).split()
    )

    job = await side.ended(await side.load(new, make_room=True))
    assert (job.state, job.problem) == ("succeeded", None)
    assert "made room: removed image spare:1" in await side.log(job)
    there = (await docker(graphdriver, "images", "--all", "--quiet", "--no-trunc")).split()
    assert {name for name, image in ids.items() if image not in there} == {"spare"}
    assert "theirs:1" in await side.tags()
    assert "spare:stable" not in await side.tags()  # with all its tags


async def test_layers_go_before_images(docker_side: ImageSide, graphdriver: DockerEngine) -> None:
    """Where blobs and runtime share a disk; those of jobs under way are not among them."""
    side = docker_side
    old = (await side.push(made("old", "old:1"))).result["old:1"]
    waiting = Made([made("old").layers[1], layer("never sent")], tags=["waits:1"])
    job = await side.load(waiting)
    await side.at_stage(job, "receiving")
    side.images._space.release(job.id)  # only its pins are of interest
    grants(side, graphdriver, {old: 2 * MB})
    new = made("new", "new:1", over=layer("other base"))
    plan = await side.plan(new)
    [image] = plan.frees  # enough by itself: the layer, which is small, stays
    assert (image.kind, image.name) == ("image", "old:1")
    needed = plan.space[0].needed_bytes
    for lacking, goes in (
        (1, [("blob", diff_id(BASE))]),
        (image.size_bytes + 1, [("blob", diff_id(BASE)), ("image", "old:1")]),
    ):
        grants(side, graphdriver, {old: 2 * MB}, free_bytes=needed - lacking)
        frees = (await side.plan(new)).frees
        assert [(item.kind, item.name) for item in frees] == goes


async def test_where_nothing_may_go_it_is_refused_before_a_byte_is_sent(
    docker_side: ImageSide, graphdriver: DockerEngine
) -> None:
    side = docker_side
    await side.push(made("used", "used:1"))
    await docker(graphdriver, "create", "--name", "user", "used:1")
    for blob in side.images.blobs.list():
        side.images.blobs.remove(blob.diff_id)
    grants(side, graphdriver, {})
    new = made("new", "new:1")
    with pytest.raises(ProblemError) as raised:
        await side.load(new)
    problem = raised.value
    assert problem.code == "space.short"
    assert "0 B could be freed" in problem.detail
    assert (problem.params["freeable_bytes"], problem.params["make_room"]) == (0, False)
    assert "roost image rm" in (problem.hint or "")
    assert "--make-room" not in (problem.hint or "")
    assert (await side.plan(new, make_room=True)).problems == [problem.problem()]
    assert side.jobs.newest() == side.jobs.newest(state="succeeded")


async def test_a_reservation_counts_until_its_job_has_ended(
    docker_side: ImageSide, graphdriver: DockerEngine
) -> None:
    side = docker_side
    grants(side, graphdriver, {}, free_bytes=7 * MB)
    first, second = made("first", "first:1"), made("second", "second:1")
    job = await side.load(first)
    with pytest.raises(ProblemError) as raised:
        await side.load(second)
    assert raised.value.code == "space.short"
    assert "are held for other jobs" in raised.value.detail
    assert "roost job ls" in (raised.value.hint or "")
    # The job itself is not in its own way.
    assert (await side.plan(first)).problems == []
    await side.jobs.cancel(job.id, by="maria")
    await side.ended(job)
    await until(lambda: side.images._space._held == {})  # just after its end is told
    done = await side.push(second)
    assert done.problem is None
    await until(lambda: side.images._space._held == {})
    await until(lambda: side.images._keeper.pinned() == set())


async def test_a_runtime_that_does_not_tell_what_images_take(
    docker_side: ImageSide, graphdriver: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = docker_side
    await side.push(made("old", "old:1"))
    for blob in side.images.blobs.list():
        side.images.blobs.remove(blob.diff_id)
    monkeypatch.setattr(freeing, "USAGE_SECONDS", 0.01)
    monkeypatch.setattr(side.runtime, "image_usage", asyncio.Event().wait)
    grants(side, graphdriver, {})
    [problem] = (await side.plan(made("new", "new:1"))).problems
    assert "did not tell within" in problem.detail
