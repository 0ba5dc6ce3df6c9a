"""Builds in throw-away containers of real images, on a real Docker Engine."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.protocol.engines import PlanImportRequest
from agent.protocol.jobs import Job
from tests import onnx_made
from tests.agent.engines.engine_side import (
    A10,
    EngineSide,
    content,
    engine_side,
    put,
    recipe,
)
from tests.agent.engines.sharing_side import Seed, Taker
from tests.agent.site.pair import side as node_side
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.python_image import USER, WITH_TENSORRT, WITHOUT_TENSORRT

pytestmark = [pytest.mark.real("docker"), pytest.mark.timeout(120)]

LABEL = "roost.engine-build"


@pytest.fixture
def onnx(short_folder: Path) -> Path:
    models = short_folder / "models"
    models.mkdir()
    models.chmod(0o755)
    path = models / "detector.onnx"
    path.write_bytes(onnx_made.detector())
    path.chmod(0o644)
    return path


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    """What the agent writes is for itself alone, unless it says otherwise."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
async def side(short_folder: Path, engine: DockerEngine) -> AsyncIterator[EngineSide]:
    async with engine_side(short_folder, [], runtime=engine.url) as made:
        yield made


async def build(side: EngineSide, onnx: Path, image: str = WITH_TENSORRT, **changes: Any) -> Job:
    return await side.build(onnx, executor="container", image=image, **changes)


async def builds(engine: DockerEngine) -> list[str]:
    """Ids of containers that build."""
    shown = await asyncio.to_thread(
        engine.docker, "ps", "--quiet", "--no-trunc", "--filter", f"label={LABEL}"
    )
    return shown.split()


async def inspected(engine: DockerEngine, container: str) -> Any:
    return json.loads(await asyncio.to_thread(engine.docker, "inspect", container))[0]


def owner_and_mode(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_uid, found.st_mode & 0o777


async def no_containers(engine: DockerEngine) -> None:
    assert await asyncio.to_thread(engine.docker, "ps", "--all", "--quiet") == ""


async def test_an_engine_out_of_a_container(
    side: EngineSide, onnx: Path, engine: DockerEngine
) -> None:
    job = await build(side, onnx)
    assert job.problem is None, job.problem
    (made,) = await side.engines.show("detector")
    manifest = made.manifest
    image = json.loads(await asyncio.to_thread(engine.docker, "inspect", WITH_TENSORRT))[0]
    assert manifest.parts.image == image["Id"]
    assert (manifest.image_name, manifest.layers) == (WITH_TENSORRT, 12)
    assert ".".join(map(str, manifest.plan_version)) == manifest.parts.tensorrt
    assert owner_and_mode(made.path) == (0, 0o644)
    assert made.stale == []
    text = await side.log(job)
    assert "Building engine" in text
    await no_containers(engine)
    again = await build(side, onnx)
    assert again.result == {**job.result, "engine": "was there"}


async def test_what_the_container_is_given(
    short_folder: Path, onnx: Path, engine: DockerEngine
) -> None:
    put(onnx, onnx_made.detector(blocks=600, channels=8))
    async with engine_side(short_folder, [], gpus=[A10], runtime=engine.url) as side:
        job = await side.begin(
            onnx, executor="container", image=WITH_TENSORRT, memory_bytes=4 * 2**30
        )
        await side.said(job, "layers, inputs")
        (container,) = await builds(engine)
        seen = await inspected(engine, container)
        await side.jobs.cancel(job.id, by="maria")
        assert (await side.ended(job)).state == "cancelled"
    host = seen["HostConfig"]
    assert seen["Config"]["User"] == USER
    assert (host["NetworkMode"], host["Privileged"], host["CapDrop"]) == ("none", False, None)
    assert host["Memory"] == 4 * 2**30
    assert host["DeviceRequests"][0]["DeviceIDs"] == [A10.uuid]
    writable = {each["Destination"]: each["RW"] for each in seen["Mounts"]}
    assert writable["/roost/onnx"] is False
    assert writable["/roost/plan"] is True
    assert writable["/roost/worker.py"] is False
    assert {each["Source"] for each in seen["Mounts"]} >= {str(onnx.parent)}
    assert side.files() == []
    await no_containers(engine)


@pytest.mark.parametrize(
    ("image", "words"),
    [(IMAGE, "no python3 in its PATH; no python in its PATH"), (WITHOUT_TENSORRT, "tensorrt: No")],
)
async def test_no_tensorrt_in_the_image(
    side: EngineSide, onnx: Path, engine: DockerEngine, image: str, words: str
) -> None:
    job = await build(side, onnx, image)
    assert job.problem is not None
    assert job.problem.code == "engine.no_tensorrt"
    assert image in job.problem.detail
    assert words in job.problem.detail
    await no_containers(engine)


async def test_a_container_that_is_killed(
    side: EngineSide, onnx: Path, engine: DockerEngine
) -> None:
    put(onnx, onnx_made.detector(blocks=600, channels=8))
    job = await side.begin(onnx, executor="container", image=WITH_TENSORRT)
    await side.said(job, "layers, inputs")
    (container,) = await builds(engine)
    await asyncio.to_thread(engine.docker, "kill", container)
    ended = await side.ended(job)
    assert ended.problem is not None
    assert ended.problem.code == "engine.worker"
    assert "ended with 137" in ended.problem.detail
    assert side.files() == []
    await no_containers(engine)


async def test_a_build_in_a_container_is_cancelled(
    side: EngineSide, onnx: Path, engine: DockerEngine
) -> None:
    put(onnx, onnx_made.detector(blocks=600, channels=8))
    job = await side.begin(onnx, executor="container", image=WITH_TENSORRT)
    await side.said(job, "layers, inputs")
    assert len(await builds(engine)) == 1
    await side.jobs.cancel(job.id, by="maria")
    ended = await side.ended(job)
    assert (ended.state, ended.problem, side.files()) == ("cancelled", None, [])
    await no_containers(engine)
    put(onnx, onnx_made.detector(blocks=1))
    assert (await build(side, onnx)).problem is None, "nothing of it is in the way"


async def test_an_image_that_is_not_there(side: EngineSide, onnx: Path) -> None:
    with pytest.raises(Exception, match="nobody/has:this") as caught:
        await build(side, onnx, "nobody/has:this")
    assert getattr(caught.value, "code", None) == "image.not_found"


async def test_the_parsers_words_come_out(side: EngineSide, onnx: Path) -> None:
    put(onnx, onnx_made.unsupported())
    job = await build(side, onnx)
    assert job.problem is not None
    assert job.problem.code == "engine.onnx"
    assert "FrobnicateNMS node '/model.22/nms'" in job.problem.detail


async def test_a_model_that_the_images_user_may_not_read(
    side: EngineSide, onnx: Path, engine: DockerEngine
) -> None:
    await asyncio.to_thread(onnx.chmod, 0o600)
    job = await build(side, onnx)
    assert job.problem is not None
    assert job.problem.code == "engine.onnx"
    assert f"{onnx} may only be read by its owner" in job.problem.detail


async def test_a_plan_is_tried_in_a_container(
    side: EngineSide, onnx: Path, engine: DockerEngine
) -> None:
    await build(side, onnx)
    (made,) = await side.engines.show("detector")
    asked = {"executor": "container", "image": WITH_TENSORRT}
    job = await side.engines.take_in(
        msgspec.convert({"model": "imported", "plan": made.path, **asked}, PlanImportRequest),
        owner="maria",
        key=None,
    )
    ended = await side.ended(job)
    assert ended.problem is None, ended.problem
    assert ended.result["current"].startswith("not switched: it was not tried")  # there is no GPU
    (taken,) = await side.engines.show("imported")
    assert taken.manifest.plan_sha256 == made.manifest.plan_sha256
    assert taken.manifest.parts.image == made.manifest.parts.image
    assert taken.manifest.check is not None
    assert taken.manifest.check.image == made.manifest.parts.image
    assert (taken.stale, taken.stale_unknown) == ([], [])
    await no_containers(engine)


async def test_a_plan_of_another_node_is_tried_in_a_container(
    side: EngineSide, onnx: Path, engine: DockerEngine, make_short_folder: Callable[[], Path]
) -> None:
    built = await build(side, onnx)
    seed, folder = Seed(side), make_short_folder()
    listening = node_side(make_short_folder(), name="cam-01", listens=True, others=seed.open)
    async with (
        listening as seed.site,
        node_side(make_short_folder(), name="cam-02") as files,
        engine_side(folder, [], runtime=engine.url, fetcher=files.fetcher) as fetching,
    ):
        taker = Taker(fetching, files)
        asked = recipe(onnx, executor="container", image=WITH_TENSORRT)
        job = await taker.take(asked, await seed.plan())
        assert job.problem is None, job.problem
        assert job.result == {**built.result, "engine": "shared", "from": "cam-01"}
        (taken,) = await fetching.engines.show("detector")
        (made,) = await side.engines.show("detector")
        assert content(taken.path) == content(made.path)
        assert owner_and_mode(taken.path) == (0, 0o644)
        assert taken.manifest.check is not None
        assert taken.manifest.check.image == made.manifest.parts.image
        assert (taken.stale, taken.stale_unknown) == ([], [])
    await no_containers(engine)


async def test_a_changed_image_is_told(side: EngineSide, onnx: Path, engine: DockerEngine) -> None:
    await asyncio.to_thread(engine.docker, "tag", WITH_TENSORRT, "detector:1")
    await build(side, onnx, "detector:1")
    await asyncio.to_thread(engine.docker, "tag", WITHOUT_TENSORRT, "detector:1")
    (made,) = await side.engines.show("detector")
    assert [(each.what, each.rebuild) for each in made.stale] == [("image", True)]
    await asyncio.to_thread(engine.docker, "rmi", "detector:1")
    (made,) = await side.engines.show("detector")
    assert [each.text for each in made.stale] == ["the image detector:1 is not here any more"]
