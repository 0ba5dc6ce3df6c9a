"""A workload and its TensorRT engine: handed over, kept with its container, never lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.engines.node_engines import EnginePlace
from agent.protocol.engines import BuildRequest, EngineRecipe, EngineRemoveRequest, UseRequest
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import EngineUse, GpuRequest, Workload
from tests import onnx_made
from tests.agent.engines.engine_side import recipe, rtx_stand_in, stand_in
from tests.agent.workloads.test_apply_real import workload
from tests.agent.workloads.workload_side import (
    GPUS,
    UUIDS,
    Node,
    WorkloadSide,
    pin_request,
    workload_side,
)
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    path = tmp_path / "detector.onnx"
    path.write_bytes(onnx_made.detector(blocks=1))
    return path


@contextlib.asynccontextmanager
async def side(engine: DockerEngine, folder: Path, **more: Any) -> AsyncIterator[WorkloadSide]:
    """`rtx`: its builder says that it is TensorRT-RTX."""
    make = rtx_stand_in if more.pop("rtx", False) else stand_in
    place = EnginePlace(folder=folder / "engines", pythons=[make(folder)], keep=1)
    async with workload_side(engine, folder / "agent.db", engines=place, **more) as made:
        yield made


async def build(
    node: WorkloadSide, made: EngineRecipe, *, rebuild: bool = False, gpu: str | None = None
) -> str:
    request = BuildRequest(recipe=made, rebuild=rebuild, gpu=gpu)
    job = await node.ended(await node.engines.build(request, owner="maria", key=None))
    assert (job.problem, job.result.get("current")) == (None, "yes"), job
    return job.result["key"]


def using(made: EngineRecipe | None = None, *, required: bool = True, **more: Any) -> Workload:
    use = EngineUse(model="detector", recipe=made, required=required)
    return workload("detector", engine=use, **more)


async def seen(node: WorkloadSide, *command: str) -> str:
    return await asyncio.to_thread(node.engine.docker, "exec", "detector", "sh", "-c", *command)


async def test_it_is_found_in_the_container_and_cannot_be_written(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    async with side(engine, tmp_path) as node:
        made = recipe(onnx)
        key = await build(node, made)
        [planned] = await node.plan(using(made))
        assert (planned.problems, planned.engine) == (
            [],
            f"{key[:12]} of detector, TensorRT 10.13.2.6",
        )
        assert (await node.apply(using(made))).problem is None
        [workload_now] = await node.workloads.list()
        [there] = await node.engines.list()
        assert (workload_now.engine, there.used_by) == (key, ["detector"])
        told = await seen(node, "echo $ROOST_ENGINE $ROOST_ENGINE_KEY [$ROOST_ENGINE_CACHE]")
        assert told.split() == ["/roost/engine/model.plan", key, "[]"]
        plan = tmp_path / "engines" / "detector" / key / "model.plan"
        size = plan.stat().st_size
        assert (await seen(node, "wc -c < $ROOST_ENGINE")).strip() == str(size)
        assert "Read-only" in await seen(node, "touch /roost/engine/a 2>&1 || true")


async def test_tensorrt_rtx_keeps_what_it_compiles(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    """Beginning with what it compiled when the engine was tried."""
    async with side(engine, tmp_path, rtx=True) as node:
        writes = "pathlib.Path(job['runtime_cache']).write_bytes(b'kernels')"
        await asyncio.to_thread(rtx_stand_in, tmp_path, writes)
        key = await build(node, recipe(onnx))
        assert (await node.apply(using(user="1234:1234"))).problem is None
        assert await seen(node, "cat $ROOST_ENGINE_CACHE/runtime.cache") == "kernels"
        assert (await seen(node, "echo $ROOST_ENGINE_CACHE")).strip() == "/roost/engine-cache"
        await seen(node, "echo compiled > $ROOST_ENGINE_CACHE/runtime.cache")
        kept = tmp_path / "engines" / "detector" / key / "runtime" / "runtime.cache"
        assert await asyncio.to_thread(kept.read_text) == "compiled\n"


async def test_what_is_kept_has_the_engine_that_it_had(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    """Only one engine is kept, and still none is lost that a container has."""
    async with side(engine, tmp_path) as node:
        first = await build(node, recipe(onnx))
        await node.apply(using())
        second = await build(node, recipe(onnx, optimization_level=1))
        folder = tmp_path / "engines" / "detector"
        assert names(folder) == sorted([first, second, "current"])
        assert (await seen(node, "echo $ROOST_ENGINE_KEY")).strip() == first
        [planned] = await node.plan(using())
        assert planned.action == "replace"
        assert f"engine: {first[:12]} becomes {second[:12]}" in planned.changes
        await node.apply(using())
        assert (await seen(node, "echo $ROOST_ENGINE_KEY")).strip() == second

        third = await build(node, recipe(onnx, optimization_level=2))
        assert names(folder) == sorted([first, second, third, "current"])
        for key in (first, second):
            with pytest.raises(ProblemError) as caught:
                await node.engines.remove("detector", EngineRemoveRequest(key=key, force=True))
            assert caught.value.code == "engine.handed"
            assert "detector" in caught.value.detail
        assert (await node.undo("detector")).state == "succeeded"
        assert (
            await seen(node, "test -s $ROOST_ENGINE && echo $ROOST_ENGINE_KEY")
        ).strip() == first

        fourth = await build(node, recipe(onnx, optimization_level=3))
        assert names(folder) == sorted([first, fourth, "current"])


async def test_a_rebuild_leaves_the_folder_that_a_container_has(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    async with side(engine, tmp_path) as node:
        key = await build(node, recipe(onnx))
        await node.apply(using())
        assert await build(node, recipe(onnx), rebuild=True) == key
        folder = tmp_path / "engines" / "detector"
        assert names(folder) == sorted([key, f"{key}.2", "current"])
        assert (folder / "current").readlink() == Path(f"{key}.2")
        assert (await seen(node, "test -s $ROOST_ENGINE && echo there")).strip() == "there"
        await node.apply(using())
        await node.ended(await node.workloads.remove("detector", owner="maria", key=None))
        await build(node, recipe(onnx), rebuild=True)
        assert names(folder) == sorted([f"{key}.3", "current"])


async def test_none_is_there_or_another_one(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    async with side(engine, tmp_path) as node:
        made = recipe(onnx)
        job = await refused(node, using(made))
        assert "this node has no engine of detector" in job
        await node.apply(using(made, required=False))
        assert (await seen(node, "echo [$ROOST_ENGINE]; ls /roost 2>&1 || true")).startswith("[]")
        [planned] = await node.plan(using(made, required=False))
        assert planned.warnings == [
            "it is deployed without an engine: this node has no engine of detector"
        ]
        await build(node, made)
        other = recipe(onnx, precision="fp16", workspace_bytes=2**20)
        assert "another precision and workspace_bytes" in await refused(node, using(other))
        elsewhere = recipe(onnx, executor="container", image="not-there:1")
        assert "shall be in not-there:1" in await refused(node, using(elsewhere))
        await asyncio.to_thread(onnx.write_bytes, onnx_made.detector(blocks=2))
        assert "detector.onnx has changed" in await refused(node, using(made))
        [planned] = await node.plan(using())  # whichever it is
        assert planned.problems == []
        assert planned.warnings == [f"the engine is stale: {onnx} has changed"]


async def test_one_that_was_not_found_good_is_none(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    async with side(engine, tmp_path) as node:
        script = tmp_path / "python"
        said = await asyncio.to_thread(script.read_text)
        await asyncio.to_thread(script.write_text, said.replace("'ran' if ran", "'header' if ran"))
        request = BuildRequest(recipe=recipe(onnx))
        job = await node.ended(await node.engines.build(request, owner="maria", key=None))
        assert job.problem is None, job.problem
        why = await refused(node, using())
        assert "no engine of detector is in use; the newest, " in why
        assert "it was not tried" in why


async def test_the_gpu_that_it_gets_is_another_one(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    t4 = msgspec.structs.replace(GPUS[1], name="Tesla T4", compute_capability="7.5")
    async with side(engine, tmp_path, node=Node(gpus=[GPUS[0], t4])) as node:
        await build(node, recipe(onnx))
        there = using(gpu=GpuRequest(select=UUIDS[1]))
        assert "built on NVIDIA A10, here is Tesla T4" in await refused(node, there)
        here = using(gpu=GpuRequest(select=UUIDS[0]))
        [planned] = await node.plan(here)
        assert (planned.problems, planned.warnings) == ([], [])
        assert (await node.apply(here)).problem is None
        pinned = await node.workloads.plan_pin("detector", pin_request(UUIDS[1]))
        assert pinned.workloads[0].warnings[-1] == (
            "its engine may not run there: built on NVIDIA A10, here is Tesla T4"
        )


async def test_each_kind_of_gpu_has_an_engine_of_its_own(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    """Only one is in use, and a workload gets the one for its GPU; a pin brings the other one."""
    t4 = msgspec.structs.replace(GPUS[1], name="Tesla T4", compute_capability="7.5")
    async with side(engine, tmp_path, node=Node(gpus=[GPUS[0], t4])) as node:
        made = recipe(onnx)
        first = await build(node, made, gpu=UUIDS[0])
        second = await build(node, made, gpu=UUIDS[1])
        folder = tmp_path / "engines" / "detector"
        assert names(folder) == sorted([first, second, "current"])  # one of each is kept
        assert (folder / "current").readlink() == Path(second)

        there = using(made, gpu=GpuRequest(select=UUIDS[0]))
        [planned] = await node.plan(there)
        assert (planned.problems, planned.warnings) == ([], [])
        assert planned.engine == (
            f"{first[:12]} of detector, TensorRT 10.13.2.6"
            f" ({second[:12]}, which is in use, is not for its GPU)"
        )
        assert (await node.apply(there)).problem is None
        assert (await seen(node, "echo $ROOST_ENGINE_KEY")).strip() == first
        [planned] = await node.plan(there)
        assert planned.action == "keep"

        pinned = await node.workloads.plan_pin("detector", pin_request(UUIDS[1]))
        [shown] = pinned.workloads
        assert f"engine: {first[:12]} becomes {second[:12]}" in shown.changes
        assert not any("engine" in each for each in shown.warnings)
        assert (await node.pin("detector", UUIDS[1])).problem is None
        assert (
            await seen(node, "test -s $ROOST_ENGINE && echo $ROOST_ENGINE_KEY")
        ).strip() == second
        assert await asyncio.to_thread(bound, node) == [str(folder / second)]

        plan = folder / first / "model.plan"
        await asyncio.to_thread(plan.write_bytes, b"cut")
        assert "built on Tesla T4, here is NVIDIA A10" in await refused(node, there)


async def test_one_for_both_gpus_that_was_tried_on_the_other(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    """It is for it, by its recipe: that it was not tried there is told."""
    a10 = msgspec.structs.replace(GPUS[0], compute_capability="8.6")
    l4 = msgspec.structs.replace(GPUS[1], name="L4", compute_capability="8.9")
    async with side(engine, tmp_path, rtx=True, node=Node(gpus=[a10, l4])) as node:
        await build(node, recipe(onnx, compute_capabilities=["8.6", "8.9"]))
        [planned] = await node.plan(using(gpu=GpuRequest(select=UUIDS[1])))
        assert (planned.problems, planned.warnings[-1:]) == (
            [],
            ["its engine may not run: tried on a GPU of 8.6, here is 8.9"],
        )


async def test_a_node_without_engines(engine: DockerEngine, tmp_path: Path) -> None:
    """As one that is simulated."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        [planned] = await node.plan(using())
        assert [problem.code for problem in planned.problems] == ["engine.simulated"]
        [planned] = await node.plan(using(required=False))
        assert planned.problems == []
        assert planned.warnings[0].startswith("it is deployed without an engine: ")


async def test_use_another_one_and_apply_again(
    engine: DockerEngine, tmp_path: Path, onnx: Path
) -> None:
    async with side(engine, tmp_path) as node:
        first = await build(node, recipe(onnx))
        await node.apply(using())
        second = await build(node, recipe(onnx, optimization_level=1))
        assert first != second
        await node.engines.use("detector", UseRequest(key=first))
        [planned] = await node.plan(using())
        assert planned.action == "keep"


async def refused(node: WorkloadSide, one: Workload) -> str:
    """What an apply of it would be refused with."""
    [planned] = await node.plan(one)
    [problem] = planned.problems
    assert problem.code == "workload.no_engine"
    return problem.detail


def bound(node: WorkloadSide) -> list[str]:
    """What of the node the container has."""
    form = "{{range .HostConfig.Mounts}}{{.Source}} {{end}}"
    return node.engine.docker("inspect", "--format", form, "detector").split()


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())
