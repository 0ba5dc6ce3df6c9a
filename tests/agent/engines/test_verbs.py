"""Engines tried again, used and removed, over a stand-in for a builder."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.protocol.decoding import from_plain
from agent.protocol.engines import (
    Engine,
    EngineRecipe,
    EngineRemoveRequest,
    UseRequest,
    Validation,
)
from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import EngineUse
from tests import onnx_made
from tests.agent.engines.engine_side import (
    A10,
    PLAN,
    UNFIT,
    EngineSide,
    Node,
    content,
    engine_side,
    put,
    stand_in,
)

pytestmark = pytest.mark.timeout(60)

T4 = Gpu(uuid="GPU-ttt", index=0, name="Tesla T4", compute_capability="7.5")


async def test_verify_says_what_it_saw(side: EngineSide, onnx: Path, node: Node) -> None:
    await side.build(onnx)
    node.driver = "590.10"
    engine = await side.only()
    assert [(each.what, each.rebuild) for each in engine.stale] == [("driver", False)]
    job = await side.verify()
    assert job.problem is None, job.problem
    assert (job.result["verification"], job.result["current"]) == ("ran", "yes")
    after = await side.only()
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
    job = await side.verify()
    assert job.problem is not None
    assert job.problem.code == "engine.unfit"
    assert "no engine of detector is in use any more" in job.problem.detail
    engine = await side.only()
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
    job = await side.verify()
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
    job = await side.verify()
    assert job.problem is not None
    assert job.problem.code == "engine.latency"
    engine = await side.only()
    assert (engine.current, engine.manifest.verification) == (True, "ran")


async def test_a_driver_that_changed_wants_no_other_build(
    side: EngineSide, onnx: Path, node: Node
) -> None:
    first = await side.build(onnx)
    node.driver = "590.10"
    again = await side.build(onnx)
    assert again.result == {**first.result, "engine": "was there"}
    assert "it is tried again: the driver was 580.95.05, and is 590.10" in await side.log(again)
    assert (await side.only()).stale == []
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
    engine = await side.only()
    assert (engine.manifest.verification, engine.current) == ("ran", True)
    tight = {"max_latency_ms": 7.0}
    bound = await side.build(onnx, validation=tight)
    assert bound.problem is None, bound.problem
    assert bound.result["key"] == first.result["key"]
    assert "it is tried again: another validation is asked for" in await side.log(bound)
    recipe = (await side.only()).manifest.parts.recipe
    assert recipe is not None
    assert recipe.validation.max_latency_ms == 7.0
    assert "tried again" not in await side.log(await side.build(onnx, validation=tight))


async def test_the_same_again_after_a_gpu_was_swapped(
    side: EngineSide, onnx: Path, node: Node
) -> None:
    await side.build(onnx)
    request = (await side.only()).again()
    assert request is not None
    assert request.gpu == A10.uuid
    node.gpus = [T4]
    request = (await side.only()).again()
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
    assert (await side.only()).manifest.job == again.id


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
    job = await side.verify()
    assert job.problem is not None
    assert job.problem.code == "engine.plan"
    assert "no engine of detector is in use any more" in job.problem.detail


async def test_a_plan_that_rotted_is_built_anew(side: EngineSide, onnx: Path) -> None:
    key = (await side.build(onnx)).result["key"]
    rot(await side.only())
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
    put(Path((await side.only()).path), PLAN[:-1])
    with pytest.raises(ProblemError, match="its plan has 33 bytes, and had 34") as caught:
        await side.engines.hand(EngineUse(model="detector"))
    assert caught.value.code == "workload.no_engine"
    put(Path((await side.only()).path), PLAN)
    await side.engines.hand(EngineUse(model="detector"))
    rot(await side.only())
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
    engine = await side.only()
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
    assert (await side.only()).stale == []
    put(onnx, onnx_made.detector(blocks=2))
    engine = await side.only()
    assert [each.what for each in engine.stale] == ["model"]
    await asyncio.to_thread(onnx.unlink)
    engine = await side.only()
    assert (engine.stale, len(engine.stale_unknown)) == ([], 1)
    assert str(onnx) in engine.stale_unknown[0]


async def test_what_changed_is_not_compared_with(
    tmp_path: Path, side: EngineSide, onnx: Path
) -> None:
    await side.build(onnx)
    stand_in(
        tmp_path, "tell({'event': 'message', 'severity': 'warning', 'text': f\"to {job['onnx']}\"})"
    )
    assert f"warning: to {onnx}" in await side.log(await side.verify())
    put(onnx, onnx_made.detector(blocks=2))
    assert "warning: to None" in await side.log(await side.verify())


async def test_another_tensorrt(tmp_path: Path, onnx: Path) -> None:
    builder = stand_in(tmp_path)
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        await side.build(onnx)
    put(builder, builder.read_bytes().replace(b"10.13.2.6", b"10.13.3.9"))
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        engine = await side.only()
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
            await side.take_in(onnx)
        assert caught.value.code == "policy.volume_root"
        with pytest.raises(ProblemError) as caught:
            await side.verify(validation=Validation(inputs="/etc"))
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
        recipe = (await side.only()).manifest.parts.recipe
        assert recipe is not None
        assert recipe.onnx == str(place)
    for name in ("../detector.onnx", ".hidden", "plant//x", "plant/../x", "", "-x"):
        with pytest.raises(msgspec.ValidationError):
            from_plain({"model": "detector", "onnx": name}, EngineRecipe)
