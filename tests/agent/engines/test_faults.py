"""What goes wrong in a build, over stand-ins: silence, a full GPU, two builds of one key."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from agent.engines import gpu_room
from agent.engines.hearing import Silences
from agent.protocol.gpus import GpuSample
from agent.protocol.problems import ProblemError
from tests import onnx_made
from tests.agent.engines.engine_side import (
    A10,
    EngineSide,
    Node,
    content,
    engine_side,
    put,
    stand_in,
)

pytestmark = pytest.mark.timeout(60)

MIB, GIB = 2**20, 2**30
SLEEPS = (
    "tell({'event': 'message', 'severity': 'warning', 'text': f'I am {os.getpid()}.'})\n"
    "time.sleep(600)"
)
WAITS = "while not pathlib.Path({!r}).exists(): time.sleep(0.02)"


def current(side: EngineSide) -> str | None:
    link = side.folder / "detector" / "current"
    return link.readlink().name if link.is_symlink() else None


async def test_a_builder_that_says_nothing(tmp_path: Path, onnx: Path) -> None:
    silences = Silences(then_seconds=0.5)
    builder = stand_in(tmp_path, SLEEPS)
    async with engine_side(tmp_path, [builder], gpus=[A10], silences=silences) as side:
        job = await side.build(onnx)
        assert job.problem is not None
        assert job.problem.code == "engine.silent"
        assert side.files() == []
        pid = int((await side.log(job)).partition("I am ")[2].partition(".")[0])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_tensorrt_that_cannot_tell_may_be_silent(tmp_path: Path, onnx: Path) -> None:
    builder = stand_in(tmp_path, "time.sleep(1)")
    put(
        builder,
        content(builder).replace(b"'event': 'versions'", b"'event': 'versions', 'progress': False"),
    )
    silences = Silences(then_seconds=0.2)
    async with engine_side(tmp_path, [builder], gpus=[A10], silences=silences) as side:
        assert (await side.build(onnx)).state == "succeeded"


def used(gib: int) -> GpuSample:
    return GpuSample(uuid=A10.uuid, memory_used_bytes=gib * GIB, memory_total_bytes=24 * GIB)


async def test_a_gpu_without_room_is_waited_for(tmp_path: Path, onnx: Path) -> None:
    node = Node(gpus=[A10], samples=[used(20)])
    async with engine_side(tmp_path, [stand_in(tmp_path)], node=node) as side:
        job = await side.begin(onnx, gpu_memory_bytes=6 * GIB)
        await side.said(job, "waits: NVIDIA A10 has 4,096 MiB free of 24,576 MiB")
        now = side.jobs.get(job.id)
        assert (now.state, now.stage) == ("running", "waiting for GPU memory")
        assert "stop or move what runs there" in (now.reason or "")
        assert now.deadline_at is not None
        behind = await side.begin(onnx, model="second", gpu_memory_bytes=3 * GIB)
        assert side.jobs.get(behind.id).state == "queued"
        node.samples = [used(10)]
        assert [(await side.ended(each)).state for each in (job, behind)] == ["succeeded"] * 2
        assert "NVIDIA A10 has room now" in await side.log(job)
        node.samples = []
        job = await side.build(onnx, gpu_memory_bytes=7 * GIB)
        assert job.state == "succeeded"
        assert "the free memory of NVIDIA A10 is not known" in await side.log(job)


async def test_the_builder_itself_finds_too_little_room(
    tmp_path: Path, onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a Jetson, of whose memory the driver's library says nothing."""
    monkeypatch.setattr(gpu_room, "AGAIN_SECONDS", 0.05)
    busy = (
        "if not pathlib.Path({!r}).exists():\n"
        "    tell({{'event': 'failed', 'code': 'engine.gpu_busy', 'text': '9 MiB are free'}})\n"
        "    sys.exit(1)"
    ).format(str(tmp_path / "room"))
    async with engine_side(tmp_path, [stand_in(tmp_path, busy)], gpus=[A10]) as side:
        job = await side.begin(onnx, gpu_memory_bytes=6 * GIB)
        await side.said(job, "waits: 9 MiB are free")
        put(tmp_path / "room", b"")
        ended = await side.ended(job)
        assert (ended.state, ended.result.get("current")) == ("succeeded", "yes")
    (tmp_path / "room").unlink()
    async with engine_side(
        tmp_path, [stand_in(tmp_path, busy)], gpus=[A10], wait_seconds=0.2
    ) as side:
        job = await side.build(onnx, optimization_level=1)
        assert job.problem is not None
        assert (job.problem.code, job.problem.detail) == ("engine.gpu_busy", "9 MiB are free")


async def test_a_wait_for_room_ends_by_itself_or_is_cancelled(tmp_path: Path, onnx: Path) -> None:
    node = Node(gpus=[A10], samples=[used(20)])
    async with engine_side(tmp_path, [stand_in(tmp_path)], node=node, wait_seconds=0.3) as side:
        job = await side.build(onnx, workspace_bytes=5 * GIB)
        assert job.problem is not None
        assert (job.problem.code, "waited for 0.3 s" in job.problem.detail) == (
            "engine.gpu_busy",
            True,
        )
        job = await side.build(onnx, gpu_memory_bytes=25 * GIB)
        assert job.problem is not None
        assert job.problem.code == "engine.recipe", "it never will"
        assert (await side.build(onnx, gpu_memory_bytes=3 * GIB)).state == "succeeded"
    async with engine_side(tmp_path, [stand_in(tmp_path)], node=node) as side:
        job = await side.begin(onnx, gpu_memory_bytes=6 * GIB)
        await side.said(job, "waits: ")
        await side.jobs.cancel(job.id, by="maria")
        assert (await side.ended(job)).state == "cancelled"
        assert (await side.build(onnx, gpu_memory_bytes=2 * GIB)).state == "succeeded"


async def test_two_requests_for_one_key_are_one_build(tmp_path: Path, onnx: Path) -> None:
    """They differ in what does not make another engine, so they are two jobs."""
    go = tmp_path / "go"
    async with engine_side(
        tmp_path, [stand_in(tmp_path, WAITS.format(str(go)))], gpus=[A10]
    ) as side:
        first = await side.begin(onnx)
        await side.said(first, "1 layers")
        second = await side.begin(onnx, timeout_seconds=100)
        assert first.id != second.id
        waits = side.jobs.get(second.id)
        assert (waits.state, waits.reason is not None) == ("queued", True)
        put(go, b"")
        ended = [await side.ended(each) for each in (first, second)]
        assert [each.result["engine"] for each in ended] == ["built", "was there"]
        assert ended[0].result["key"] == ended[1].result["key"]
        assert len(await side.engines.list()) == 1


async def test_one_build_at_a_time_on_a_gpu(tmp_path: Path, onnx: Path) -> None:
    go = tmp_path / "go"
    other = type(A10)(uuid="GPU-bbb", index=1, name=A10.name, compute_capability="8.6")
    async with engine_side(
        tmp_path, [stand_in(tmp_path, WAITS.format(str(go)))], gpus=[A10, other]
    ) as side:
        first = await side.begin(onnx)
        await side.said(first, "1 layers")
        same = await side.begin(onnx, model="second")
        there = await side.begin(onnx, model="third", gpu=other.uuid)
        await side.said(there, "1 layers")  # beside the first
        assert side.jobs.get(same.id).state == "queued"
        put(go, b"")
        ended = [await side.ended(each) for each in (first, same, there)]
        assert [each.state for each in ended] == ["succeeded"] * 3


async def test_outputs_that_differ_are_told_and_not_used(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path)], gpus=[A10]) as side:
        key = (await side.build(onnx)).result["key"]
        compared = "{'with': 'onnxruntime', 'ok': False, 'max_abs': 0.5, 'max_rel': 1.0}"
        builder = stand_in(tmp_path)
        said = (
            content(builder)
            .decode()
            .replace("'gpu_memory':", f"'compared': {compared}, 'gpu_memory':")
        )
        put(builder, said.encode())
        job = await side.build(onnx, optimization_level=1)
        assert job.problem is not None
        assert (job.problem.code, current(side)) == ("engine.outputs", key)
        assert len(await side.engines.list()) == 1


async def test_an_engine_that_is_too_slow(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path)], gpus=[A10]) as side:
        job = await side.build(onnx, validation={"max_latency_ms": 5})
        assert job.problem is not None
        assert (job.problem.code, job.problem.detail) == (
            "engine.latency",
            "p99 is 6.00 ms, and may be 5 ms",
        )
        assert side.files() == []


async def test_what_was_only_loaded_is_used_where_that_was_asked_for(
    tmp_path: Path, onnx: Path
) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path)], gpus=[A10]) as side:
        job = await side.build(onnx, validation={"iterations": 0})
        assert (job.result["current"], current(side)) == ("yes", job.result["key"])


async def test_a_rebuild_that_could_not_be_tried_leaves_the_good_one(
    tmp_path: Path, onnx: Path
) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path)], gpus=[A10]) as side:
        first = await side.build(onnx)
        builder = stand_in(tmp_path)
        said = content(builder).replace(b"'ran' if ran", b"'header' if ran")
        put(builder, said)
        job = await side.build(onnx, rebuild=True)
        assert job.problem is not None
        assert job.problem.code == "engine.not_verified"
        (engine,) = await side.engines.list()
        assert (engine.manifest.job, engine.manifest.verification) == (first.id, "ran")
        assert current(side) == first.result["key"]


@pytest.mark.parametrize(
    "plan", ["os.symlink('/etc/passwd', plan)", "os.mkfifo(plan)", "os.mkdir(plan)"]
)
async def test_what_is_left_instead_of_a_plan(tmp_path: Path, onnx: Path, plan: str) -> None:
    builder = stand_in(tmp_path)
    told = content(builder).decode()
    line = next(each for each in told.splitlines() if "write_bytes" in each)
    put(builder, told.replace(line, f"        plan = job['plan']; {plan}").encode())
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        job = await side.build(onnx)
        assert job.problem is not None
        assert job.problem.code in ("engine.plan", "engine.storage"), job.problem
        assert side.files() == []


async def test_a_plan_that_is_not_what_was_told(tmp_path: Path, onnx: Path) -> None:
    builder = stand_in(tmp_path)
    put(builder, content(builder).replace(b"a plan", b"a planet"))
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        job = await side.build(onnx)
        assert job.problem is not None
        assert (job.problem.code, side.files()) == ("engine.plan", [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"executor": "container"}, "needs the image"),
        ({"image": "a:1"}, "executor: host does not use it"),
        ({"calibration_cache": "/c"}, "is for int8"),
    ],
)
async def test_recipes_that_contradict_themselves(
    tmp_path: Path, onnx: Path, changes: dict[str, Any], words: str
) -> None:
    async with engine_side(tmp_path, []) as side:
        with pytest.raises(ProblemError) as caught:
            await side.begin(onnx, **changes)
    assert (caught.value.code, words in caught.value.detail) == ("engine.recipe", True)


async def test_caches_and_outputs_are_given_to_the_next_build(tmp_path: Path, onnx: Path) -> None:
    ending = (
        "tell({'event': 'message', 'severity': 'warning',\n"
        "      'text': f\"compare {job['validation']['compare']} cache {job['timing_cache']}\"})\n"
        "pathlib.Path(job['validation']['keep_outputs'], 'boxes.bin').write_bytes(b'1234')\n"
        "cache = pathlib.Path(job['timing_cache'])\n"
        "tell({'event': 'message', 'severity': 'warning', 'text': f'it was {cache.exists()}'})\n"
        "cache.write_bytes(b'times')"
    )
    async with engine_side(tmp_path, [stand_in(tmp_path, ending)], gpus=[A10]) as side:
        first = await side.build(onnx)
        assert "compare None" in await side.log(first)
        assert "it was False" in await side.log(first)
        second = await side.build(onnx, optimization_level=1)
        before = side.folder / "detector" / first.result["key"] / "outputs"
        assert f"compare {before} cache " in await side.log(second)
        assert "it was True" in await side.log(second)
        assert content(before / "boxes.bin") == b"1234"
        await asyncio.to_thread(onnx.write_bytes, onnx_made.detector(blocks=2))
        third = await side.build(onnx)
        assert "compare None" in await side.log(third)  # another model computes something else


async def test_other_inputs_are_not_compared_with(
    tmp_path: Path, onnx: Path, short_folder: Path
) -> None:
    """Also where they are in the same folder, by the same names."""
    ending = (
        "text = f\"compare {job['validation']['compare'] is not None}\"\n"
        "tell({'event': 'message', 'severity': 'warning', 'text': text})\n"
        "pathlib.Path(job['validation']['keep_outputs'], 'boxes.bin').write_bytes(b'1234')\n"
    )
    inputs = short_folder / "inputs"
    await asyncio.to_thread(inputs.mkdir)
    file = inputs / "images.bin"
    put(file, b"one frame")
    asked = {"inputs": str(inputs)}
    async with engine_side(tmp_path, [stand_in(tmp_path, ending)], gpus=[A10]) as side:

        async def compares(level: int, **validation: Any) -> bool:
            job = await side.build(onnx, optimization_level=level, validation=validation)
            assert job.problem is None, job.problem
            return "compare True" in await side.log(job)

        assert [await compares(level, **asked) for level in (0, 1)] == [False, True]
        put(file, b"a another")
        assert [await compares(level, **asked) for level in (2, 3)] == [False, True]
        await asyncio.to_thread(file.rename, inputs / "other.bin")
        assert [await compares(4, **asked), await compares(5)] == [False, False]
        (inputs / "images.bin").symlink_to(inputs / "other.bin")
        await asyncio.to_thread(os.mkfifo, inputs / "pipe.bin")
        assert await compares(0, **asked) is False, "random ones are others, too"


async def test_a_large_model_never_is_in_the_agents_memory(tmp_path: Path) -> None:
    onnx = onnx_made.with_external_data(tmp_path, data_bytes=600 * 10**6)
    async with engine_side(tmp_path, [stand_in(tmp_path)], gpus=[A10]) as side:
        before = await asyncio.to_thread(peak_anew)
        job = await side.build(onnx, profiles=[])
        assert job.problem is None, job.problem
        assert await asyncio.to_thread(peak) - before < 64 * MIB


def peak_anew() -> int:
    """What this process has now; its peak counts from here on."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The most memory that this process had, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
