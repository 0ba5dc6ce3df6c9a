"""Engines tried again, used, removed and imported, over a stand-in for a builder."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.protocol.decoding import from_plain
from agent.protocol.engines import (
    Engine,
    EngineRecipe,
    EngineRemoveRequest,
    PlanImportRequest,
    UseRequest,
    Validation,
    VerifyRequest,
)
from agent.protocol.gpus import Gpu
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import EngineUse
from tests import onnx_made
from tests.agent.engines.engine_side import (
    A10,
    PLAN,
    EngineSide,
    Node,
    content,
    engine_side,
    put,
    stand_in,
)

pytestmark = pytest.mark.timeout(60)

T4 = Gpu(uuid="GPU-ttt", index=0, name="Tesla T4", compute_capability="7.5")
UNFIT = (
    "print(json.dumps({'event': 'failed', 'code': 'engine.unfit', 'text': 'compute 7.5, not 8.6'}),"
    " flush=True); sys.exit(1)"
)


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    path = tmp_path / "detector.onnx"
    path.write_bytes(onnx_made.detector(blocks=1))
    return path


@pytest.fixture
def node() -> Node:
    return Node(gpus=[A10])


@pytest.fixture
async def side(tmp_path: Path, node: Node) -> AsyncIterator[EngineSide]:
    async with engine_side(tmp_path, [stand_in(tmp_path)], node=node) as made:
        yield made


async def verify(side: EngineSide, **asked: Any) -> Job:
    request = VerifyRequest(**asked)
    job = await side.engines.verify("detector", request, owner="maria", key=None)
    return await side.ended(job)


async def take_in(side: EngineSide, plan: Path, **asked: Any) -> Job:
    request = PlanImportRequest(model="imported", plan=str(plan), **asked)
    return await side.ended(await side.engines.take_in(request, owner="maria", key=None))


async def only(side: EngineSide, model: str = "detector") -> Engine:
    (engine,) = await side.engines.show(model)
    return engine


async def test_verify_says_what_it_saw(side: EngineSide, onnx: Path, node: Node) -> None:
    await side.build(onnx)
    node.driver = "590.10"
    engine = await only(side)
    assert [(each.what, each.rebuild) for each in engine.stale] == [("driver", False)]
    job = await verify(side)
    assert job.problem is None, job.problem
    assert (job.result["verification"], job.result["current"]) == ("ran", "yes")
    after = await only(side)
    assert after.stale == []
    assert after.manifest.check is not None
    assert after.manifest.check.driver_version == "590.10"
    assert after.manifest.driver_version == "580.95.05"  # under which it was built
    assert (after.current, after.manifest.plan_sha256) == (True, engine.manifest.plan_sha256)


async def test_an_engine_that_fails_when_it_is_tried_again(
    tmp_path: Path, side: EngineSide, onnx: Path
) -> None:
    await side.build(onnx)
    stand_in(tmp_path, UNFIT)
    job = await verify(side)
    assert job.problem is not None
    assert job.problem.code == "engine.unfit"
    assert "no engine of detector is in use any more" in job.problem.detail
    engine = await only(side)
    assert (engine.manifest.verification, engine.current) == ("header", False)
    assert "compute 7.5" in (engine.manifest.verification_reason or "")
    with pytest.raises(ProblemError) as caught:
        await side.engines.use("detector", UseRequest(key=engine.manifest.key))
    assert caught.value.code == "engine.not_verified"


async def test_where_one_turns_out_bad_the_one_before_is_used(
    tmp_path: Path, side: EngineSide, onnx: Path
) -> None:
    first = (await side.build(onnx)).result["key"]
    second = (await side.build(onnx, optimization_level=1)).result["key"]
    stand_in(tmp_path, UNFIT)
    job = await verify(side)
    assert job.problem is not None
    assert f"engine {first[:12]}, the one before, is in use now" in job.problem.detail
    there = {each.manifest.key: each for each in await side.engines.show("detector")}
    assert [(there[key].current, there[key].manifest.verification) for key in (first, second)] == [
        (True, "ran"),
        (False, "header"),
    ]


async def test_one_that_is_slow_today_stays_in_use(
    tmp_path: Path, side: EngineSide, onnx: Path
) -> None:
    """What else runs on the GPU makes it so."""
    await side.build(onnx, validation={"max_latency_ms": 6.5})
    script = stand_in(tmp_path)
    put(script, content(script).replace(b'"p99_ms": 2.0', b'"p99_ms": 20.0'))
    job = await verify(side)
    assert job.problem is not None
    assert job.problem.code == "engine.latency"
    engine = await only(side)
    assert (engine.current, engine.manifest.verification) == (True, "ran")


async def test_a_driver_that_changed_wants_no_other_build(
    side: EngineSide, onnx: Path, node: Node
) -> None:
    first = await side.build(onnx)
    node.driver = "590.10"
    again = await side.build(onnx)
    assert again.result == {**first.result, "engine": "was there"}
    assert "it is tried again: the driver was 580.95.05, and is 590.10" in await side.log(again)
    assert (await only(side)).stale == []
    third = await side.build(onnx)
    assert "tried again" not in await side.log(third)


async def test_another_gpu_and_another_validation_want_it_tried_again(
    side: EngineSide, onnx: Path, node: Node
) -> None:
    first = await side.build(onnx)
    node.gpus = [msgspec.structs.replace(A10, uuid="GPU-bbb")]
    again = await side.build(onnx)
    assert again.result == {**first.result, "engine": "was there"}
    assert "it is tried again: it was tried on another GPU" in await side.log(again)
    slow = await side.build(onnx, validation={"max_latency_ms": 0.5})
    assert slow.problem is not None
    assert slow.problem.code == "engine.latency"
    engine = await only(side)
    assert (engine.manifest.verification, engine.current) == ("ran", True)
    tight = {"max_latency_ms": 7.0}
    bound = await side.build(onnx, validation=tight)
    assert bound.problem is None, bound.problem
    assert bound.result["key"] == first.result["key"]
    assert "it is tried again: another validation is asked for" in await side.log(bound)
    recipe = (await only(side)).manifest.parts.recipe
    assert recipe is not None
    assert recipe.validation.max_latency_ms == 7.0
    assert "tried again" not in await side.log(await side.build(onnx, validation=tight))


async def test_the_same_again_after_a_gpu_was_swapped(
    side: EngineSide, onnx: Path, node: Node
) -> None:
    await side.build(onnx)
    request = (await only(side)).again()
    assert request is not None
    assert request.gpu == A10.uuid
    node.gpus = [T4]
    request = (await only(side)).again()
    assert request is not None
    assert request.gpu is None
    job = await side.ended(await side.engines.build(request, owner="maria", key=None))
    assert (job.problem, job.result["engine"]) == (None, "built")


async def test_an_engine_that_a_new_driver_does_not_take_is_built_anew(
    tmp_path: Path, side: EngineSide, onnx: Path, node: Node
) -> None:
    first = await side.build(onnx)
    node.driver = "590.10"
    stand_in(tmp_path, f"if 'check-' in sys.argv[-1]:\n    {UNFIT}")
    again = await side.build(onnx)
    assert again.problem is None, again.problem
    assert again.result == first.result
    assert (await only(side)).manifest.job == again.id


def rot(engine: Engine) -> None:
    """One byte of its plan: it is as long as before."""
    plan = Path(engine.path)
    data = plan.read_bytes()
    plan.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


async def test_a_plan_that_rotted_is_not_used(side: EngineSide, onnx: Path) -> None:
    keys = [(await side.build(onnx, optimization_level=n)).result["key"] for n in (1, 2)]
    there = {each.manifest.key: each for each in await side.engines.show("detector")}
    rot(there[keys[0]])
    with pytest.raises(ProblemError, match="another digest") as caught:
        await side.engines.use("detector", UseRequest(key=keys[0]))
    assert caught.value.code == "engine.not_verified"
    shown = await side.engines.show("detector")
    assert [each.manifest.key for each in shown if each.current] == [keys[1]]
    rot(there[keys[1]])
    job = await verify(side)
    assert job.problem is not None
    assert job.problem.code == "engine.plan"
    assert "no engine of detector is in use any more" in job.problem.detail


async def test_a_plan_that_rotted_is_built_anew(side: EngineSide, onnx: Path) -> None:
    key = (await side.build(onnx)).result["key"]
    rot(await only(side))
    again = await side.build(onnx)
    assert (again.result["key"], again.result["engine"], again.result["current"]) == (
        key,
        "built",
        "yes",
    )
    assert "is built anew: its plan is damaged" in await side.log(again)
    assert (await side.build(onnx)).result["engine"] == "was there"


async def test_a_plan_that_lost_bytes_is_not_handed(side: EngineSide, onnx: Path) -> None:
    await side.build(onnx)
    await side.engines.hand(EngineUse(model="detector"))
    put(Path((await only(side)).path), PLAN[:-1])
    with pytest.raises(ProblemError, match="its plan has 33 bytes, and had 34") as caught:
        await side.engines.hand(EngineUse(model="detector"))
    assert caught.value.code == "workload.no_engine"
    put(Path((await only(side)).path), PLAN)
    await side.engines.hand(EngineUse(model="detector"))
    rot(await only(side))
    with pytest.raises(ProblemError, match="its plan is damaged"):
        await side.engines.hand(EngineUse(model="detector"))


async def test_use_goes_back(side: EngineSide, onnx: Path) -> None:
    keys = [(await side.build(onnx, optimization_level=n)).result["key"] for n in (1, 2)]
    engine = await side.engines.use("detector", UseRequest(key=keys[0][:8]))
    assert (engine.current, engine.manifest.key) == (True, keys[0])
    shown = await side.engines.show("detector")
    assert [each.manifest.key for each in shown if each.current] == [keys[0]]
    with pytest.raises(ProblemError) as caught:
        await side.engines.use("detector", UseRequest(key="0" * 64))
    assert caught.value.code == "engine.not_found"


async def test_an_engine_for_another_gpu_is_not_used(
    side: EngineSide, onnx: Path, node: Node
) -> None:
    key = (await side.build(onnx)).result["key"]
    node.gpus = [T4]
    engine = await only(side)
    assert [each.text for each in engine.stale] == ["built on NVIDIA A10, here is Tesla T4"]
    with pytest.raises(ProblemError) as caught:
        await side.engines.use("detector", UseRequest(key=key))
    assert "Tesla T4" in caught.value.detail
    again = engine.again()
    assert again is not None
    assert again.recipe == engine.manifest.parts.recipe


async def test_a_model_that_changed(side: EngineSide, onnx: Path) -> None:
    await side.build(onnx)
    os.utime(onnx)  # touched, and the same
    assert (await only(side)).stale == []
    put(onnx, onnx_made.detector(blocks=2))
    engine = await only(side)
    assert [each.what for each in engine.stale] == ["model"]
    await asyncio.to_thread(onnx.unlink)
    engine = await only(side)
    assert (engine.stale, len(engine.stale_unknown)) == ([], 1)
    assert str(onnx) in engine.stale_unknown[0]


async def test_what_changed_is_not_compared_with(
    tmp_path: Path, side: EngineSide, onnx: Path
) -> None:
    await side.build(onnx)
    stand_in(
        tmp_path, "tell({'event': 'message', 'severity': 'warning', 'text': f\"to {job['onnx']}\"})"
    )
    assert f"warning: to {onnx}" in await side.log(await verify(side))
    put(onnx, onnx_made.detector(blocks=2))
    assert "warning: to None" in await side.log(await verify(side))


async def test_another_tensorrt(tmp_path: Path, onnx: Path) -> None:
    builder = stand_in(tmp_path)
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        await side.build(onnx)
    put(builder, builder.read_bytes().replace(b"10.13.2.6", b"10.13.3.9"))
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        engine = await only(side)
    assert [each.text for each in engine.stale] == [
        "tensorrt 10.13.2.6 then, tensorrt 10.13.3.9 now"
    ]


async def test_the_one_in_use_is_removed_by_force_alone(side: EngineSide, onnx: Path) -> None:
    keys = [(await side.build(onnx, optimization_level=n)).result["key"] for n in (1, 2)]
    with pytest.raises(ProblemError) as caught:
        await side.engines.remove("detector", EngineRemoveRequest(key=keys[1]))
    assert caught.value.code == "engine.current"
    left = await side.engines.remove("detector", EngineRemoveRequest(key=keys[0]))
    assert [each.manifest.key for each in left] == [keys[1]]
    assert await side.engines.remove("detector", EngineRemoveRequest(key=keys[1], force=True)) == []
    assert side.files() == []


async def test_the_log_of_an_engine(side: EngineSide, onnx: Path) -> None:
    key = (await side.build(onnx)).result["key"]
    log = await side.engines.log("detector", key[:6], limit_bytes=100_000)
    assert '"event": "parsed"' in log.text
    assert (log.key, log.cut_bytes, log.size_bytes) == (key, 0, len(log.text))
    end = await side.engines.log("detector", key, limit_bytes=60)
    assert end.text == log.text[-len(end.text) :]
    assert end.cut_bytes == log.size_bytes - len(end.text)


@pytest.mark.parametrize("prefix", [False, True])
async def test_a_plan_is_taken_in(tmp_path: Path, side: EngineSide, *, prefix: bool) -> None:
    plan, metadata = PLAN, {"imgsz": [640, 640], "stride": 32}
    if prefix:
        text = json.dumps(metadata).encode()
        plan = struct.pack("<i", len(text)) + text + PLAN
    put(tmp_path / "yolo.engine", plan)
    job = await take_in(side, tmp_path / "yolo.engine")
    assert job.problem is None, job.problem
    told = [job.result[name] for name in ("engine", "gpu", "current")]
    assert told == ["imported", "yes", "yes"]
    engine = await only(side, "imported")
    manifest = engine.manifest
    assert content(engine.path) == PLAN
    assert manifest.metadata == ({"imgsz": "[640, 640]", "stride": "32"} if prefix else {})
    assert (manifest.parts.tensorrt, manifest.parts.recipe) == ("10.13.2.6", None)
    assert (manifest.parts.gpu, manifest.imported) == (A10.name, str(tmp_path / "yolo.engine"))
    assert engine.again() is None
    verified = await side.ended(
        await side.engines.verify("imported", VerifyRequest(), owner="maria", key=None)
    )
    assert verified.problem is None, verified.problem


async def test_what_its_builder_wrote_is_taken_in_with_it(
    tmp_path: Path, side: EngineSide, onnx: Path
) -> None:
    """So that it is the engine of its recipe, and not just a file."""
    first = await side.build(onnx, precision="fp16")
    built = await only(side)
    brought = tmp_path / "stick"
    brought.mkdir()
    put(brought / "yolo.plan", content(built.path))
    put(brought / "yolo.manifest.json", content(Path(built.path).with_name("manifest.json")))
    job = await take_in(side, brought / "yolo.plan")
    assert job.problem is None, job.problem
    assert "yolo.manifest.json beside it says what it was built from" in await side.log(job)
    engine = await only(side, "imported")
    manifest = engine.manifest
    assert (manifest.key, job.result["key"]) == (first.result["key"],) * 2
    assert manifest.parts.recipe is not None
    assert (manifest.parts.recipe.precision, manifest.parts.recipe.model) == ("fp16", "imported")
    assert manifest.parts.onnx_sha256 == built.manifest.parts.onnx_sha256
    assert (manifest.layers, manifest.imported) == (1, str(brought / "yolo.plan"))
    assert manifest.files == built.manifest.files
    again = await side.build(onnx, model="imported", precision="fp16")
    assert again.result["engine"] == "was there"
    put(onnx, onnx_made.detector(blocks=2))
    assert [each.what for each in (await only(side, "imported")).stale] == ["model"]
    await asyncio.to_thread(onnx.unlink)
    assert (await only(side, "imported")).stale_unknown == [], "it need not be there"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan_sha256": "0" * 64}, "it is of another plan"),
        ({"plan_version": [10, 3, 0, 1]}, "tells of another TensorRT"),
        ({"key": "0" * 64}, "its key is not that of what it says"),
        ({"parts": None}, "Expected `object`"),
    ],
)
async def test_a_manifest_that_is_not_of_the_plan_is_left_out(
    tmp_path: Path, side: EngineSide, onnx: Path, changes: dict[str, Any], words: str
) -> None:
    await side.build(onnx)
    built = await only(side)
    brought = tmp_path / "stick"
    brought.mkdir()
    put(brought / "model.plan", content(built.path))
    said = json.loads(content(Path(built.path).with_name("manifest.json")))
    put(brought / "manifest.json", json.dumps({**said, **changes}).encode())
    job = await take_in(side, brought / "model.plan")
    assert job.problem is None, job.problem
    log = await side.log(job)
    assert "manifest.json beside it is left out: " in log
    assert words in log
    assert (await only(side, "imported")).manifest.parts.recipe is None


@pytest.mark.parametrize(
    ("plan", "code", "words"),
    [
        (os.urandom(4096), "engine.plan", "does not begin as plans"),
        (b"", "engine.plan", "does not begin as plans"),
        (struct.pack("<i", 900) + b"{" * 5000, "engine.plan", "does not begin as plans"),
        (b"vtrt" + PLAN[4:], "engine.unfit", "the plan is of tensorrt_rtx"),
        (PLAN[:24] + bytes([11, 0, 0, 1]) + b"x", "engine.unfit", "tensorrt 11.0.0.1"),
    ],
)
async def test_what_is_no_plan_for_here(
    tmp_path: Path, side: EngineSide, plan: bytes, code: str, words: str
) -> None:
    put(tmp_path / "plan", plan)
    job = await take_in(side, tmp_path / "plan")
    assert job.problem is not None
    assert (job.problem.code, words in job.problem.detail) == (code, True), job.problem
    assert side.files() == []


async def test_a_plan_for_another_gpu(tmp_path: Path, side: EngineSide, onnx: Path) -> None:
    stand_in(tmp_path, UNFIT)
    put(tmp_path / "plan", PLAN)
    job = await take_in(side, tmp_path / "plan")
    assert job.problem is not None
    assert (job.problem.code, job.problem.detail) == ("engine.unfit", "compute 7.5, not 8.6")
    assert side.files() == []


async def test_what_lies_outside_the_roots(tmp_path: Path, onnx: Path) -> None:
    root = tmp_path / "models"
    root.mkdir()
    inside, link = root / "detector.onnx", root / "link.onnx"
    put(inside, onnx_made.detector(blocks=1))
    link.symlink_to(onnx)
    builder = stand_in(tmp_path)
    async with engine_side(tmp_path, [builder], gpus=[A10], roots=[root]) as side:
        assert (await side.build(inside)).state == "succeeded"
        outside: list[dict[str, Any]] = [
            {"onnx": onnx},
            {"onnx": link},
            {"onnx": inside, "validation": {"inputs": str(tmp_path)}},
            {"onnx": inside, "precision": "int8", "calibration_cache": str(onnx)},
        ]
        for changes in outside:
            with pytest.raises(ProblemError) as caught:
                await side.begin(changes.pop("onnx"), **changes)
            assert caught.value.code == "policy.volume_root"
        with pytest.raises(ProblemError) as caught:
            await take_in(side, onnx)
        assert caught.value.code == "policy.volume_root"
        with pytest.raises(ProblemError) as caught:
            await verify(side, validation=Validation(inputs="/etc"))
        assert caught.value.code == "policy.volume_root"


async def test_models_that_bundles_brought(tmp_path: Path, onnx: Path) -> None:
    """A recipe names them without a slash; they are among what policies allow."""
    (tmp_path / "models" / "plant").mkdir(parents=True)
    place = tmp_path / "models" / "plant" / "detector.onnx"
    async with engine_side(
        tmp_path, [stand_in(tmp_path)], gpus=[A10], roots=[tmp_path / "none"]
    ) as side:
        with pytest.raises(ProblemError) as caught:
            await side.begin(Path("plant/detector.onnx"))
        assert caught.value.code == "engine.onnx"
        assert "roost bundle push" in (caught.value.hint or "")
        put(place, content(onnx))
        assert (await side.build(Path("plant/detector.onnx"))).state == "succeeded"
        recipe = (await only(side)).manifest.parts.recipe
        assert recipe is not None
        assert recipe.onnx == str(place)
    for name in ("../detector.onnx", ".hidden", "plant//x", "plant/../x", "", "-x"):
        with pytest.raises(msgspec.ValidationError):
            from_plain({"model": "detector", "onnx": name}, EngineRecipe)
