"""Engines fetched from another node of the site, over real TLS: tried, or built instead.

What builds and tries them is a stand-in.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.images import intake, writer
from agent.images.upload_files import FileShelf
from agent.protocol.engines import (
    BuildRequest,
    EngineRecipe,
    EngineRemoveRequest,
    SharedPlan,
)
from agent.protocol.images import Layer
from agent.protocol.site import GrantRequest
from agent.site import fetching
from tests import onnx_made
from tests.agent.engines.engine_side import (
    A10,
    PLAN,
    UNFIT,
    content,
    engine_side,
    put,
    recipe,
    stand_in,
)
from tests.agent.engines.sharing_side import Seed, Taker
from tests.agent.site.pair import side
from tests.waiting import until

pytestmark = pytest.mark.timeout(60)

PLAN_OF_SOME_SIZE = PLAN + b"p" * 100_000
HALF = len(PLAN_OF_SOME_SIZE) // 2
NO_BUILD = "assert job['action'] == 'check', 'it was built'"
NOT_FETCHED = f"if job['action'] == 'check': {UNFIT}"


@pytest.fixture
async def seed(tmp_path: Path) -> AsyncIterator[Seed]:
    folder = tmp_path / "seed"
    folder.mkdir()
    put(folder / "detector.onnx", onnx_made.detector(blocks=1))
    builder = stand_in(folder, plan=PLAN_OF_SOME_SIZE)
    async with engine_side(folder, [builder], gpus=[A10]) as engines:
        assert (await engines.build(folder / "detector.onnx")).state == "succeeded"
        made = Seed(engines)
        site = side(tmp_path / "site", name="cam-01", listens=True, others=made.open)
        async with site as made.site:
            yield made


@pytest.fixture
def model(onnx: Path) -> EngineRecipe:
    """As the one that fetches has it: the same as the other's, in another place."""
    return recipe(onnx)


@contextlib.asynccontextmanager
async def taker(tmp_path: Path, ending: str = "", **more: Any) -> AsyncIterator[Taker]:
    """It lies in the same folder each time."""
    folder = tmp_path / "taker"
    folder.mkdir(exist_ok=True)
    builder = stand_in(folder, ending)
    async with (
        side(tmp_path / "taken", name="cam-02") as files,
        engine_side(folder, [builder], gpus=[A10], fetcher=files.fetcher, **more) as engines,
    ):
        yield Taker(engines, files)


async def test_a_plan_is_fetched_tried_and_used(
    tmp_path: Path, seed: Seed, model: EngineRecipe
) -> None:
    async with taker(tmp_path, NO_BUILD) as node:
        job = await node.take(model, await seed.plan())
        assert (job.problem, job.result.get("engine")) == (None, "shared")
        assert (job.result["from"], job.result["current"]) == ("cam-01", "yes")
        (engine,) = await node.engines.engines.show("detector")
        (built,) = await seed.engines.engines.show("detector")
        made, check = engine.manifest, engine.manifest.check
        assert (made.key, made.layers) == (built.manifest.key, built.manifest.layers)
        assert content(engine.path) == content(built.path)
        assert (made.shared_from, made.verification) == ("cam-01", "ran")
        assert check is not None
        assert check.gpu == A10.uuid
        assert node.leftovers() == []
        # It is one of its own from then on: the same recipe finds it.
        assert (await node.take(model, await seed.plan())).result["engine"] == "was there"


async def other_key(seed: Seed, plan: SharedPlan) -> SharedPlan:
    return msgspec.structs.replace(plan, key="0" * 64)


async def expired(seed: Seed, plan: SharedPlan) -> SharedPlan:
    grant = msgspec.structs.replace(plan.grant, secret="x" * 43)
    return msgspec.structs.replace(plan, grant=grant)


async def corrupted(seed: Seed, plan: SharedPlan) -> SharedPlan:
    seed.instead = lambda: io.BytesIO(PLAN_OF_SOME_SIZE[:-1] + b"!")
    return plan


async def cut(seed: Seed, plan: SharedPlan) -> SharedPlan:
    """Each time that it is asked."""
    seed.instead = lambda: io.BytesIO(PLAN_OF_SOME_SIZE[:HALF])
    return plan


async def replaced(seed: Seed, plan: SharedPlan) -> SharedPlan:
    remove = EngineRemoveRequest(key=plan.key, force=True)
    await seed.engines.engines.remove("detector", remove)
    return plan


async def gone(seed: Seed, plan: SharedPlan) -> SharedPlan:
    await seed.site.site.stop()
    return plan


async def no_plan(seed: Seed, plan: SharedPlan) -> SharedPlan:
    """What the seed told of, to the last byte, and no plan."""
    data = b"x" * plan.plan_bytes
    digest = hashlib.sha256(data).hexdigest()
    seed.also[f"sha256:{digest}"] = data
    grant = await seed.site.site.grant(GrantRequest(diff_ids=[f"sha256:{digest}"]))
    return msgspec.structs.replace(plan, plan_sha256=digest, grant=grant)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (other_key, "its key is 000000000000, and that of the engine here "),
        (expired, "does not know the grant, or its time is over"),
        (corrupted, "sha256"),
        (cut, "closed connection"),
        (replaced, "does not have"),
        (gone, "cannot be reached from here"),
        (no_plan, "does not begin as plans of TensorRT do"),
    ],
)
async def test_what_cannot_be_fetched_is_built(
    tmp_path: Path,
    seed: Seed,
    model: EngineRecipe,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Seed, SharedPlan], Awaitable[SharedPlan]],
    words: str,
) -> None:
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.01)
    async with taker(tmp_path) as node:
        job = await node.take(model, await spoil(seed, await seed.plan()))
        assert (job.problem, job.result.get("engine"), job.result["current"]) == (
            None,
            "built",
            "yes",
        )
        assert job.result["not_shared"].startswith("the plan of cam-01 was not taken: ")
        assert words in job.result["not_shared"]
        assert f"it is built here: {job.result['not_shared']}" in await node.engines.log(job)
        (engine,) = await node.engines.engines.show("detector")
        assert (content(engine.path), engine.manifest.shared_from) == (PLAN, None)
        assert node.leftovers() == []


async def test_one_that_does_not_run_here_is_built(
    tmp_path: Path, seed: Seed, model: EngineRecipe
) -> None:
    """What was built is tried in the same run; so only what was fetched fails here."""
    async with taker(tmp_path, NOT_FETCHED) as node:
        job = await node.take(model, await seed.plan())
        assert (job.problem, job.result.get("engine")) == (None, "built")
        assert "compute 7.5, not 8.6" in job.result["not_shared"]
        (engine,) = await node.engines.engines.show("detector")
        assert (content(engine.path), engine.current) == (PLAN, True)
        assert node.leftovers() == []


async def test_a_full_disk_is_told(
    tmp_path: Path, seed: Seed, model: EngineRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileShelf, "free_bytes", lambda _: 1000)
    async with taker(tmp_path) as node:
        job = await node.take(model, await seed.plan())
        assert "1000" in job.result["not_shared"]


async def test_a_node_that_takes_only_what_is_signed(
    tmp_path: Path, seed: Seed, model: EngineRecipe
) -> None:
    async with taker(tmp_path, only_signed=True) as node:
        job = await node.take(model, await seed.plan())
        assert "policy.require_signature is on" in job.result["not_shared"]


class Slow(io.BytesIO):
    """It gives half of the plan, and byte by byte until it may give the rest."""

    def __init__(self) -> None:
        super().__init__(PLAN_OF_SOME_SIZE)
        self.may = threading.Event()

    def read(self, count: int | None = -1) -> bytes:
        if self.tell() < HALF:
            return super().read(HALF - self.tell())
        return super().read(count if self.may.wait(0.02) else 1)


@pytest.mark.parametrize("agent_too", [False, True])
async def test_what_came_is_not_fetched_again(
    tmp_path: Path,
    seed: Seed,
    model: EngineRecipe,
    monkeypatch: pytest.MonkeyPatch,
    *,
    agent_too: bool,
) -> None:
    """The job was cancelled, or the agent ended amid it."""
    # A plan of a few kilobytes is on disk as it comes, too.
    monkeypatch.setattr(writer, "PIECE_BYTES", 1)
    monkeypatch.setattr(intake, "SYNC_SECONDS", 0.0)
    plan = await seed.plan()
    slow = Slow()
    seed.instead = lambda: slow
    layer = Layer(diff_id=f"sha256:{plan.plan_sha256}", size_bytes=plan.plan_bytes)
    async with taker(tmp_path, NO_BUILD) as node:
        job = await node.begin(model, plan)
        await until(lambda: node.files.fetcher.there(layer) > 0)
        if not agent_too:
            await node.engines.jobs.cancel(job.id, by="maria")
            assert (await node.engines.ended(job)).state == "cancelled"
            assert node.engines.files() == []
    slow.may.set()
    seed.instead = None
    async with taker(tmp_path, NO_BUILD) as node:
        ended = await (node.engines.ended(job) if agent_too else node.take(model, plan))
        assert (ended.problem, ended.result.get("engine")) == (None, "shared")
        came = re.findall(r"(\d+) bytes came", await node.engines.log(ended))
        assert 0 < int(came[-1]) < len(PLAN_OF_SOME_SIZE)


async def test_what_a_look_says(tmp_path: Path, seed: Seed, model: EngineRecipe) -> None:
    (built,) = await seed.engines.engines.show("detector")
    async with taker(tmp_path, NO_BUILD, only_signed=True) as node:
        request = BuildRequest(recipe=model)
        job = await node.engines.engines.look(request, owner="maria", key=None)
        assert (await node.engines.ended(job)).result == {
            "model": "detector",
            "key": built.manifest.key,
            "there": "no",
            "alone": "policy.require_signature is on there, and nobody signs a plan",
        }
        assert node.engines.files() == []
    job = await seed.engines.engines.look(request, owner="maria", key=None)
    assert (await seed.engines.ended(job)).result["there"] == "yes"
