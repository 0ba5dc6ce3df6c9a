"""Plans taken in from elsewhere, over a stand-in for a builder."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from tests import onnx_made
from tests.agent.engines.engine_side import A10, PLAN, UNFIT, EngineSide, content, put, stand_in

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("prefix", [False, True])
async def test_a_plan_is_taken_in(tmp_path: Path, side: EngineSide, *, prefix: bool) -> None:
    plan, metadata = PLAN, {"imgsz": [640, 640], "stride": 32}
    if prefix:
        text = json.dumps(metadata).encode()
        plan = struct.pack("<i", len(text)) + text + PLAN
    put(tmp_path / "yolo.engine", plan)
    job = await side.take_in(tmp_path / "yolo.engine")
    assert job.problem is None, job.problem
    told = [job.result[name] for name in ("engine", "gpu", "current")]
    assert told == ["imported", "yes", "yes"]
    engine = await side.only("imported")
    manifest = engine.manifest
    assert content(engine.path) == PLAN
    assert manifest.metadata == ({"imgsz": "[640, 640]", "stride": "32"} if prefix else {})
    assert (manifest.parts.tensorrt, manifest.parts.recipe) == ("10.13.2.6", None)
    assert (manifest.parts.gpu, manifest.imported) == (A10.name, str(tmp_path / "yolo.engine"))
    assert engine.again() is None
    verified = await side.verify("imported")
    assert verified.problem is None, verified.problem


async def test_what_its_builder_wrote_is_taken_in_with_it(
    tmp_path: Path, side: EngineSide, onnx: Path
) -> None:
    """So that it is the engine of its recipe, and not just a file."""
    first = await side.build(onnx, precision="fp16")
    built = await side.only()
    brought = tmp_path / "stick"
    brought.mkdir()
    put(brought / "yolo.plan", content(built.path))
    put(brought / "yolo.manifest.json", content(Path(built.path).with_name("manifest.json")))
    job = await side.take_in(brought / "yolo.plan")
    assert job.problem is None, job.problem
    assert "yolo.manifest.json beside it says what it was built from" in await side.log(job)
    engine = await side.only("imported")
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
    assert [each.what for each in (await side.only("imported")).stale] == ["model"]
    await asyncio.to_thread(onnx.unlink)
    assert (await side.only("imported")).stale_unknown == [], "it need not be there"


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
    built = await side.only()
    brought = tmp_path / "stick"
    brought.mkdir()
    put(brought / "model.plan", content(built.path))
    said = json.loads(content(Path(built.path).with_name("manifest.json")))
    put(brought / "manifest.json", json.dumps({**said, **changes}).encode())
    job = await side.take_in(brought / "model.plan")
    assert job.problem is None, job.problem
    log = await side.log(job)
    assert "manifest.json beside it is left out: " in log
    assert words in log
    assert (await side.only("imported")).manifest.parts.recipe is None


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
    job = await side.take_in(tmp_path / "plan")
    assert job.problem is not None
    assert (job.problem.code, words in job.problem.detail) == (code, True), job.problem
    assert side.files() == []


async def test_a_plan_for_another_gpu(tmp_path: Path, side: EngineSide, onnx: Path) -> None:
    stand_in(tmp_path, UNFIT)
    put(tmp_path / "plan", PLAN)
    job = await side.take_in(tmp_path / "plan")
    assert job.problem is not None
    assert (job.problem.code, job.problem.detail) == ("engine.unfit", "compute 7.5, not 8.6")
    assert side.files() == []
