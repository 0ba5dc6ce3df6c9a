"""Loads over a runtime in memory that fails where a test wants it; and the jobs beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.containers.images_results import ImageUsage
from agent.images import arrival, load_job
from agent.images.records import ImageRecords
from agent.images.space import SPARE_BYTES, DiskFree
from agent.protocol.images import NodeImage, RemoveRequest, TagRequest
from agent.protocol.jobs import Job
from agent.protocol.node import RuntimeFacts
from agent.protocol.problems import ProblemError
from tests.agent.doubles import FixedRuntime
from tests.agent.images.image_side import ImageSide, image_side
from tests.archives_made import Made, layer
from tests.waiting import until

BASE = layer("base")
OLD = Made([BASE, layer("old")], tags=["app:1"])
NEW = Made([BASE, layer("new")], tags=["app:1", "app:2"])


class Trouble(FixedRuntime):
    """A store like Docker's own; methods in `broken` fail, those in `held` wait."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()
        self.held: dict[str, asyncio.Event] = {}
        self.reached: list[str] = []
        self.wrong_config = False
        self.root_dir: str | None = None

    async def facts(self) -> RuntimeFacts:
        return RuntimeFacts(
            state="ok", name="Docker Engine", image_store="graphdriver", root_dir=self.root_dir
        )

    async def load_image(self, *args: Any, **named: Any) -> Any:
        loaded = await super().load_image(*args, **named)
        await self._at("load_image")  # it has the image already
        return loaded

    async def check_image(self, *args: Any, **named: Any) -> NodeImage:
        await self._at("check_image")
        image = await super().check_image(*args, **named)
        if self.wrong_config:
            image.config_digest = "sha256:" + "0" * 64
        return image

    async def tag_image(self, reference: str, tag: str) -> NodeImage:
        await self._at("tag_image")
        return await super().tag_image(reference, tag)

    async def remove_image(self, reference: str) -> Any:
        await self._at("remove_image")
        return await super().remove_image(reference)

    async def image_usage(self) -> ImageUsage:
        await self._at("image_usage")
        return ImageUsage(alone_bytes={one.id: one.size_bytes for one in await self.images()})

    async def _at(self, method: str) -> None:
        self.reached.append(method)
        if method in self.held:
            await self.held[method].wait()
        if method in self.broken:
            raise ProblemError("runtime.unreachable", f"{method} failed", hint="Start it.")


@pytest.fixture
def runtime() -> Trouble:
    return Trouble()


@pytest.fixture
async def side(tmp_path: Path, runtime: Trouble) -> AsyncIterator[ImageSide]:
    async with image_side(tmp_path / "state", runtime) as made:
        yield made


async def tag_of(side: ImageSide) -> str | None:
    image = await side.image("app:1")
    return None if image is None else image.id


async def staged(side: ImageSide) -> list[str]:
    return [tag for tag in await side.tags() if tag.startswith("roost.local/staging")]


@pytest.mark.parametrize("method", ["load_image", "check_image", "tag_image", "remove_image"])
async def test_whatever_fails_leaves_the_old_image(
    side: ImageSide, runtime: Trouble, method: str
) -> None:
    old = (await side.push(OLD)).result["app:1"]
    runtime.broken = {method}
    job = await side.push(NEW)
    if method == "remove_image":
        # It is loaded, verified and named; only the other name is still there.
        assert (job.state, await tag_of(side)) == ("succeeded", job.result["app:1"])
        assert await staged(side) == [f"roost.local/staging:{job.id}-0"]
    else:
        assert job.state == "failed"
        assert job.problem is not None
        assert job.problem.detail == f"{method} failed"
        assert await tag_of(side) == old
        assert await staged(side) == []
    runtime.broken = set()
    await side.images.clean()
    assert await staged(side) == []
    done = await side.ended(await side.load(NEW))
    assert done.problem is None
    assert await tag_of(side) == done.result["app:1"] != old


@pytest.mark.parametrize("method", ["loaded", "moved"])
async def test_a_database_that_is_full(
    side: ImageSide, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What cannot be remembered is not done: the image before would not be protected."""
    old = (await side.push(OLD)).result["app:1"]

    def full(*_: object) -> None:
        raise ProblemError("store.failed", "database or disk is full", hint="Make room.")

    with monkeypatch.context() as patch:
        patch.setattr(ImageRecords, method, full)
        job = await side.push(NEW)
    assert job.problem is not None
    assert job.problem.code == "store.failed"
    assert (await tag_of(side), await staged(side)) == (old, [])


async def test_another_config_than_was_sent(side: ImageSide, runtime: Trouble) -> None:
    old = (await side.push(OLD)).result["app:1"]
    runtime.wrong_config = True
    job = await side.push(NEW)
    assert job.problem is not None
    assert (job.problem.code, bool(job.problem.hint)) == ("image.broken", True)
    assert (await tag_of(side), await staged(side)) == (old, [])


async def test_one_that_is_there_but_broken_is_not_named(side: ImageSide, runtime: Trouble) -> None:
    await side.push(OLD)
    runtime.broken = {"check_image"}
    job = await side.ended(await side.load(Made(OLD.layers, tags=["other:1"])))
    assert job.state == "failed"
    assert "other:1" not in await side.tags()


async def test_the_second_waits_for_the_first_and_looks_again(
    side: ImageSide, runtime: Trouble
) -> None:
    """It counted on layers of an image that is gone when its turn comes."""
    old = (await side.push(OLD)).result["app:1"]
    runtime.held["check_image"] = asyncio.Event()
    first = await side.load(Made([layer("x")], tags=["x:1"]))
    await side.send(layer("x"))
    await until(lambda: runtime.reached[-1] == "check_image")
    second = await side.load(NEW)
    await side.send(NEW.layers[1])
    await side.at_stage(second, "waiting")
    await runtime.remove_image(old)
    runtime.held["check_image"].set()
    assert (await side.ended(first)).state == "succeeded"
    done = await side.ended(second)
    assert (done.state, done.problem) == ("succeeded", None)
    loads = [line for line in (await side.log(second)).splitlines() if "loading" in line]
    assert len(loads) == 1
    assert "0 layers are there already" in loads[0]


async def test_one_that_waits_is_cancelled(side: ImageSide, runtime: Trouble) -> None:
    runtime.held["check_image"] = asyncio.Event()
    first = await side.load(Made([layer("x")], tags=["x:1"]))
    await side.send(layer("x"))
    await until(lambda: runtime.reached[-1:] == ["check_image"])
    second = await side.load(NEW)
    await side.send_wanted(NEW)
    await side.at_stage(second, "waiting")
    await side.jobs.cancel(second.id, by="maria")
    assert (await side.ended(second)).state == "cancelled"
    runtime.held["check_image"].set()
    assert (await side.ended(first)).state == "succeeded"
    assert await tag_of(side) is None


def lacks_until_gone(side: ImageSide, runtime: Trouble, image: str) -> None:
    """A disk on which one image is in the way."""
    runtime.root_dir = "/var/lib/runtime"
    room = {True: SPARE_BYTES, False: SPARE_BYTES + 10**9}
    side.images._space._free = lambda _: DiskFree(1, room[image in runtime._images])


async def room_for_new(side: ImageSide, runtime: Trouble) -> tuple[str, Job]:
    """A load that is just about to remove the image that it removes."""
    made = Made([layer("spare", 200_000)], tags=["spare:1", "spare:2"])
    spare = (await side.push(made)).result["spare:1"]
    for blob in side.images.blobs.list():
        side.images.blobs.remove(blob.diff_id)
    lacks_until_gone(side, runtime, spare)
    runtime.held["remove_image"] = asyncio.Event()
    runtime.reached.clear()
    job = await side.load(NEW, make_room=True)
    await side.at_stage(job, "making room")
    await until(lambda: "remove_image" in runtime.reached)
    return spare, job


async def test_cancelled_while_room_is_made(side: ImageSide, runtime: Trouble) -> None:
    spare, job = await room_for_new(side, runtime)
    await side.jobs.cancel(job.id, by="maria")
    assert (await side.ended(job)).state == "cancelled"
    assert {spare} <= {one.id for one in await runtime.images()}
    await until(lambda: side.images._space._held == {})


async def test_without_a_word_no_image_goes(side: ImageSide, runtime: Trouble) -> None:
    made = Made([layer("spare", 200_000)], tags=["spare:1"])
    spare = (await side.push(made)).result["spare:1"]
    room = {True: SPARE_BYTES, False: SPARE_BYTES + 10**9}
    runtime.root_dir = "/var/lib/runtime"

    def free(_: object) -> DiskFree:
        """As long as the layers of `spare` are there; those of the new one are small."""
        there = {blob.diff_id for blob in side.images.blobs.list()}
        return DiskFree(1, room[bool(there & set(made.diff_ids))])

    side.images._space._free = free
    # Layers are a cache, and enough here.
    plan = await side.plan(NEW)
    assert ([item.kind for item in plan.frees], plan.problems) == (["blob"], [])
    assert (await side.push(NEW)).state == "succeeded"
    assert spare in runtime._images

    for blob in side.images.blobs.list():
        side.images.blobs.remove(blob.diff_id)
    lacks_until_gone(side, runtime, spare)
    other = Made([layer("other")], tags=["other:1"])
    plan = await side.plan(other)
    assert [item.name for item in plan.frees] == ["spare:1"]
    [problem] = plan.problems
    assert problem.code == "space.short"
    assert (problem.params["images"], problem.params["make_room"]) == (["spare:1"], True)
    with pytest.raises(ProblemError) as raised:
        await side.load(other)
    assert raised.value.problem() == problem
    assert (await side.plan(other, make_room=True)).problems == []
    assert spare in runtime._images
    assert len(side.jobs.newest()) == 2


async def test_of_a_base_that_is_counted_on_one_image_stays(
    side: ImageSide, runtime: Trouble
) -> None:
    """Each version of an application is over the same base, as the new one is."""
    ids = []
    for name in ("one", "two", "three"):
        made = Made([BASE, layer(name, 50_000)], tags=[f"{name}:1"])
        ids.append((await side.push(made)).result[f"{name}:1"])
    for blob in side.images.blobs.list():
        side.images.blobs.remove(blob.diff_id)
    runtime.root_dir = "/var/lib/runtime"
    there = 2

    def free(_: Path) -> DiskFree:
        few = len({*ids} & runtime._images.keys()) <= there
        return DiskFree(1, SPARE_BYTES + (10**9 if few else 0))

    side.images._space._free = free
    assert [item.name for item in (await side.plan(NEW)).frees] == ["one:1"]
    # However little there is, the last one that has the base is not counted.
    new = Made([BASE, layer("large", 30_000)], tags=["new:1"])
    plan = await side.plan(new, make_room=True)
    assert [item.name for item in plan.frees] == ["one:1", "two:1"]
    new = Made([BASE, layer("larger", 120_000)], tags=["new:1"])
    plan = await side.plan(new, make_room=True)
    assert (plan.frees, [problem.code for problem in plan.problems]) == ([], ["space.short"])
    there = 1
    job = await side.load(Made([BASE, layer("large", 30_000)], tags=["new:1"]), make_room=True)
    await side.send(layer("large", 30_000))
    assert (await side.ended(job)).state == "succeeded"
    assert ids[2] in runtime._images


async def test_a_word_is_for_the_job_whoever_gives_it(side: ImageSide, runtime: Trouble) -> None:
    """Two consoles: it was begun when there was room; when there is none, one allows to make it."""
    made = Made([layer("spare", 200_000)], tags=["spare:1"])
    spare = (await side.push(made)).result["spare:1"]
    for blob in side.images.blobs.list():
        side.images.blobs.remove(blob.diff_id)
    taken = len(side.jobs.newest())
    runtime.root_dir = "/var/lib/runtime"

    def free(_: Path) -> DiskFree:
        full = len(side.jobs.newest()) > taken and spare in runtime._images
        return DiskFree(1, SPARE_BYTES + (0 if full else 10**9))

    side.images._space._free = free
    runtime.held = {"image_usage": asyncio.Event(), "remove_image": asyncio.Event()}
    first = await side.load(NEW)
    await until(lambda: "image_usage" in runtime.reached)  # it finds no room, and has no word
    second = await side.load(NEW, owner="paul", make_room=True)
    assert second.id == first.id
    runtime.held["image_usage"].set()
    await side.at_stage(first, "making room")
    plan = await side.plan(NEW)  # who asks now need not say it again
    assert ([item.name for item in plan.frees], plan.problems) == (["spare:1"], [])
    runtime.held["remove_image"].set()
    await side.send_wanted(NEW)
    done = await side.ended(first)
    assert (done.state, done.problem) == ("succeeded", None)
    assert spare not in runtime._images


async def test_stopped_while_room_is_made(tmp_path: Path, runtime: Trouble) -> None:
    async with image_side(tmp_path / "state", runtime) as side:
        _, job = await room_for_new(side, runtime)
    runtime.held.clear()
    async with image_side(tmp_path / "state", runtime) as side:
        await side.at_stage(job, "receiving")
        await side.send_wanted(NEW)
        done = await side.ended(job)
        assert (done.state, done.problem) == ("succeeded", None)


async def test_room_that_does_not_come(side: ImageSide, runtime: Trouble) -> None:
    """It was removed, and the disk is as full as before."""
    spare, job = await room_for_new(side, runtime)
    runtime.held["remove_image"].set()
    lacks_until_gone(side, runtime, next(iter(runtime._images)))
    job = await side.ended(job)
    assert job.problem is not None
    assert (job.problem.code, bool(job.problem.hint)) == ("space.short", True)
    assert spare not in runtime._images


async def test_a_job_that_nobody_sends_to_says_so(
    side: ImageSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_job, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(arrival, "SOON_SECONDS", 0.0)
    job = await side.load(NEW)
    await side.at_stage(job, "no sender")
    await side.send(NEW.layers[0])
    # What came before is kept, and told.
    await until(lambda: side.jobs.get(job.id).done == len(NEW.layers[0]))
    await side.at_stage(job, "no sender")
    await until(lambda: side.jobs.get(job.id).reason is not None)
    job = side.jobs.get(job.id)
    assert job.total == sum(map(len, NEW.layers))
    assert job.reason is not None
    assert "the same push again goes on" in job.reason
    assert "roost job cancel" in job.reason
    assert job.deadline_at is not None
    assert "nobody sends" in await side.log(job)
    await side.send_wanted(NEW)
    job = await side.ended(job)
    assert (job.state, job.reason) == ("succeeded", None)


async def test_the_wait_for_a_sender_begins_anew_with_each_byte(
    side: ImageSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that is slow for days is no link that is gone."""
    now = [1000.0]
    monkeypatch.setattr(side.jobs, "_clock", lambda: now[0])
    monkeypatch.setattr(side.jobs._queue, "_clock", lambda: now[0])
    monkeypatch.setattr(load_job, "SILENT_SECONDS", 3600.0)
    monkeypatch.setattr(arrival, "SOON_SECONDS", 0.0)
    job = await side.load(NEW)
    await side.at_stage(job, "receiving")
    await until(lambda: side.jobs.get(job.id).deadline_at == 4600.0)
    now[0] = 9000.0
    await side.send(NEW.layers[0])
    await until(lambda: side.jobs.get(job.id).deadline_at == 12600.0)
    await side.send_wanted(NEW)
    assert (await side.ended(job)).state == "succeeded"


async def test_what_a_cancelled_job_cannot_put_away_is_swept_later(
    side: ImageSide, runtime: Trouble
) -> None:
    """The runtime has the whole archive, and shows it when nobody waits any more."""
    late = asyncio.Event()
    runtime.held["load_image"] = late
    job = await side.load(NEW)
    await side.send_wanted(NEW)
    await until(lambda: "load_image" in runtime.reached)
    runtime.broken = {"remove_image"}
    await side.jobs.cancel(job.id, by="maria")
    assert (await side.ended(job)).state == "cancelled"
    assert len(await staged(side)) == 1
    runtime.broken = set()
    await side.images.clean()
    assert await staged(side) == []


async def test_what_a_job_under_way_staged_is_not_swept(side: ImageSide, runtime: Trouble) -> None:
    runtime.held["check_image"] = asyncio.Event()
    job = await side.load(NEW)
    await side.send_wanted(NEW)
    await until(lambda: "check_image" in runtime.reached)
    await side.images.clean()
    assert await staged(side) == [f"roost.local/staging:{job.id}-0"]
    # Nor does it count as there for anybody else.
    assert [image.state for image in (await side.plan(NEW)).images] == ["load"]
    [image] = [one for one in await side.images.planner.images() if one.tags[0][:6] == "roost."]
    assert image.protected is not None
    runtime.held["check_image"].set()
    assert (await side.ended(job)).state == "succeeded"
    assert await staged(side) == []


@pytest.mark.parametrize(
    "tags",
    [["Upper:1"], ["a:b:c"], ["roost.local/staging:x"], ["x" * 300], [""]],
)
async def test_names_that_cannot_be_had_are_refused_at_once(
    side: ImageSide, tags: list[str]
) -> None:
    with pytest.raises(ProblemError) as raised:
        await side.load(Made([BASE], tags=tags))
    assert (raised.value.code, bool(raised.value.hint)) == ("image.reference", True)


async def test_two_images_with_one_name_are_refused(side: ImageSide) -> None:
    with pytest.raises(ProblemError) as raised:
        await side.load(OLD, NEW)
    assert "two different images" in raised.value.detail
    assert side.jobs.newest() == []


async def test_images_are_removed_one_by_one(side: ImageSide, runtime: Trouble) -> None:
    await side.push(OLD)
    gone = (await side.push(NEW)).result["app:1"]
    request = RemoveRequest(images=["detector:1", "app:1", "app:2", "never:1"])
    job = await side.jobs.submit("image.remove", request, owner="maria")
    job = await side.ended(job)
    assert job.problem is not None
    assert job.problem.code == "image.in_use"  # of detector:1; the others went nevertheless
    assert job.problem.params["done"] == [
        "app:1=tag removed",
        "app:2=removed",
        "never:1=was not there",
    ]
    assert (job.done, job.total, job.unit) == (3, 4, "items")
    log = await side.log(job)
    assert "app:1: tag removed" in log
    assert "app:2: removed" in log
    assert "never:1: was not there" in log
    assert gone not in {one.id for one in await runtime.images()}
    # Should it come back, Roost did not load it.
    records = side.images.planner._records
    assert gone not in records.known()


async def test_how_far_a_removal_is(side: ImageSide, runtime: Trouble) -> None:
    """Nobody knows that of a single image; of several, those that are done count."""
    await side.push(OLD)
    runtime.held["remove_image"] = asyncio.Event()
    runtime.reached.clear()
    job = await side.jobs.submit("image.remove", RemoveRequest(images=["app:1"]), owner="maria")
    await until(lambda: "remove_image" in runtime.reached)
    assert (side.jobs.get(job.id).done, side.jobs.get(job.id).total) == (None, None)
    runtime.held["remove_image"].set()
    job = await side.ended(job)
    assert (job.state, job.result) == ("succeeded", {"app:1": "removed"})
    request = RemoveRequest(images=["never:1", "never:2"])
    job = await side.ended(await side.jobs.submit("image.remove", request, owner="maria"))
    assert (job.done, job.total) == (2, 2)


async def test_a_tag_is_moved_and_what_had_it_is_protected(side: ImageSide) -> None:
    old = (await side.push(OLD)).result["app:1"]
    new = (await side.push(Made(NEW.layers, tags=["new:1"]))).result["new:1"]
    request = TagRequest(image="new:1", tag="docker.io/library/app:1")
    job = await side.ended(await side.jobs.submit("image.tag", request, owner="maria"))
    assert job.result == {"app:1": new}
    [before] = [one for one in await side.images.planner.images() if one.id == old]
    assert before.protected == "app:1 before the last push"
    again = await side.ended(await side.jobs.submit("image.tag", request, owner="maria"))
    assert again.result == job.result
    missing = TagRequest(image="never:1", tag="app:1")
    job = await side.ended(await side.jobs.submit("image.tag", missing, owner="maria"))
    assert job.problem is not None
    assert job.problem.code == "image.not_found"
