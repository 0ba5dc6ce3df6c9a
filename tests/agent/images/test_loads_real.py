"""Loads on each kind of store: what is sent, what is there afterwards, and what is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.problems import ProblemError
from agent.rules.loading import config_digest
from tests.agent.containers.parts import PATIENCE, docker, is_podman
from tests.agent.images.image_side import ImageSide, content, files, image_side
from tests.agent.images.layers import diff_id
from tests.archives_made import Made, layer
from tests.real.docker_engine import DockerEngine
from tests.real.runtime import PrivateRuntime

BASE, LIBS = layer("base", 300_000), layer("libs", 200_000)
OLD = Made([BASE, LIBS, layer("old", 50_000)], tags=["app:1"])
NEW = Made([BASE, LIBS, layer("new", 40_000)], tags=["app:1"])


def takes_partial(store: PrivateRuntime) -> bool:
    return type(store) is DockerEngine


def is_containerd(store: PrivateRuntime) -> bool:
    return not takes_partial(store) and not is_podman(store)


async def test_a_new_image(side: ImageSide, store: PrivateRuntime, tmp_path: Path) -> None:
    job = await side.load(OLD)
    await side.at_stage(job, "receiving")
    assert await side.send_wanted(OLD) == OLD.diff_ids
    job = await side.ended(job)
    assert job.problem is None
    image = await side.image("app:1")
    assert image is not None
    assert (job.state, job.result) == ("succeeded", {"app:1": image.id})
    assert (image.diff_ids, image.tags) == (OLD.diff_ids, ["app:1"])
    # Told by the store, or remembered.
    assert image.config_digest == config_digest(content(OLD))
    assert (image.id == image.config_digest) == (not is_containerd(store))
    assert image.protected is None  # Roost loaded it, and nobody uses it
    assert await side.tags() == ["app:1"]
    assert [name for name in files(tmp_path / "state") if not name.endswith(".json")] == []
    assert "app:1 is now" in await side.log(job)


async def test_an_update_of_one_layer(side: ImageSide, store: PrivateRuntime) -> None:
    await side.push(OLD)
    old = await side.image("app:1")
    assert old is not None
    job = await side.load(NEW)
    assert await side.send_wanted(NEW) == NEW.diff_ids[2:]
    assert (await side.ended(job)).problem is None
    new = await side.image("app:1")
    assert new is not None
    assert new.diff_ids == NEW.diff_ids
    assert f"it was {old.id}" in await side.log(job)
    # The one before stays, and is not removed to make room.
    [before] = [one for one in await side.images.planner.images() if one.id == old.id]
    assert (before.tags, before.protected) == ([], "app:1 before the last push")
    assert await side.tags() == ["app:1"]


async def test_what_is_wanted_without_blobs(side: ImageSide, store: PrivateRuntime) -> None:
    await side.push(OLD)
    for blob in side.images.blobs.list():
        side.images.blobs.remove(blob.diff_id)
    plan = await side.plan(NEW)
    wanted = [each.diff_id for each in plan.wanted]
    assert wanted == (NEW.diff_ids[2:] if takes_partial(store) else NEW.diff_ids)
    job = await side.push(NEW)
    assert (job.state, job.problem) == ("succeeded", None)


async def test_the_space_that_is_asked_for(side: ImageSide, store: PrivateRuntime) -> None:
    """Blobs once, and at its peak the runtime twice, Podman three times, for each byte."""
    size = sum(map(len, OLD.layers))
    needs = (await side.plan(OLD)).space
    parts = {purpose for need in needs for purpose in need.purposes}
    assert parts == {"blobs", "runtime", *(["temporary"] if is_podman(store) else [])}
    times = 4 if is_podman(store) else 3
    assert sum(need.needed_bytes for need in needs) == times * size
    await side.send(*OLD.layers[:2])
    [wanted] = (await side.plan(OLD)).wanted
    needs = (await side.plan(OLD)).space
    assert sum(each.needed_bytes for each in needs) == (times - 1) * size + wanted.size_bytes


async def test_another_name_needs_no_bytes(side: ImageSide) -> None:
    first = await side.push(OLD)
    named = Made(OLD.layers, tags=["app:1", "edge/app:stable"])
    assert [image.state for image in (await side.plan(named)).images] == ["retag"]
    job = await side.ended(await side.load(named))
    assert job.result == {"app:1": first.result["app:1"], "edge/app:stable": first.result["app:1"]}
    assert await side.tags() == ["app:1", "edge/app:stable"]


async def test_one_that_is_there(side: ImageSide, store: PrivateRuntime, tmp_path: Path) -> None:
    first = await side.push(OLD)
    again = await side.ended(await side.load(OLD))
    assert again.id != first.id
    assert (again.state, again.result) == ("succeeded", first.result)
    plan = await side.plan(OLD)
    assert ([image.state for image in plan.images], plan.wanted, plan.space) == (
        ["present"],
        [],
        [],
    )
    # Another agent over the same state knows it, too.
    seen = DockerRuntime([store.url], patience=PATIENCE)
    await seen.start()
    async with image_side(tmp_path / "state", seen) as later:
        assert [image.state for image in (await later.plan(OLD)).images] == ["present"]
    # One that remembers nothing has to load it where the store does not tell the config.
    async with image_side(tmp_path / "other", seen) as other:
        state = "load" if is_containerd(store) else "present"
        assert [image.state for image in (await other.plan(OLD)).images] == [state]
    await seen.stop()


async def test_several_images_with_several_names_and_none(side: ImageSide) -> None:
    images = [
        Made([BASE, LIBS], tags=["a:1", "a:latest"]),
        Made([BASE, layer("b")], tags=["plant.example:5000/edge/b:1"]),
        Made([BASE, layer("c")], tags=[]),
    ]
    job = await side.load(*images)
    sent = await side.send_wanted(*images)
    assert sent == [diff_id(data) for data in (BASE, LIBS, layer("b"), layer("c"))]
    job = await side.ended(job)
    assert job.problem is None
    nameless = f"roost.local/image:{config_digest(content(images[2]))[7:19]}"
    assert await side.tags() == sorted(["a:1", "a:latest", "plant.example:5000/edge/b:1", nameless])
    assert job.result["a:1"] == job.result["a:latest"]
    there = await side.image(nameless)
    assert there is not None
    assert there.diff_ids == images[2].diff_ids
    assert job.result[there.id] == there.id
    assert [image.state for image in (await side.plan(*images)).images] == ["present"] * 3


async def test_one_for_another_platform(side: ImageSide) -> None:
    foreign = Made([BASE], tags=["app:1"], architecture="arm64")
    [problem] = (await side.plan(foreign)).problems
    assert problem.code == "image.platform"
    assert problem.hint
    with pytest.raises(ProblemError) as raised:
        await side.load(foreign)
    assert raised.value.code == "image.platform"
    assert side.jobs.newest() == []


async def test_a_tag_that_somebody_moved_meanwhile(side: ImageSide, store: PrivateRuntime) -> None:
    """It is the new image's in the end; the one that it was taken from is told and protected."""
    await side.push(OLD)
    await side.push(Made([BASE, layer("other")], tags=["other:1"]))
    job = await side.load(NEW)
    await side.at_stage(job, "receiving")
    await docker(store, "tag", "other:1", "app:1")
    other = await side.image("app:1")
    assert other is not None
    await side.send_wanted(NEW)
    job = await side.ended(job)
    assert job.state == "succeeded"
    assert f"it was {other.id}" in await side.log(job)
    [kept] = [one for one in await side.images.planner.images() if one.id == other.id]
    assert (kept.tags, kept.protected) == (["other:1"], "app:1 before the last push")


async def test_the_same_image_in_two_requests(side: ImageSide) -> None:
    """An equal request joins; one that only has the image, too, finds it loaded."""
    first = await side.load(NEW, owner="maria")
    assert (await side.load(NEW, owner="paul")).id == first.id
    second = await side.load(NEW, owner="paul", source="another.tar")
    assert second.id != first.id
    await side.at_stage(first, "receiving")
    assert side.jobs.get(second.id).state == "queued"
    await side.send_wanted(NEW)
    ended = [await side.ended(job) for job in (first, second)]
    assert [job.state for job in ended] == ["succeeded"] * 2
    assert ended[0].result == ended[1].result
    assert "is there already" in await side.log(second)
    assert await side.tags() == ["app:1"]


async def test_a_key_that_was_used_answers_its_job(side: ImageSide) -> None:
    first = await side.load(OLD, key="the key")
    await side.send_wanted(OLD)
    await side.ended(first)
    again = await side.load(OLD, key="the key")
    assert (again.id, again.state) == (first.id, "succeeded")
