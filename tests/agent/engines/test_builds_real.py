"""`engine.build` with NVIDIA's own TensorRT-RTX, on a node that has no GPU."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from tests import onnx_made
from tests.agent.engines.engine_side import engine_side, put

pytestmark = pytest.mark.real


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    path = tmp_path / "detector.onnx"
    path.write_bytes(onnx_made.detector())
    return path


async def test_an_engine_is_built_once(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path) as side:
        job = await side.build(onnx)
        assert (job.state, job.problem) == ("succeeded", None)
        key = job.result["key"]
        assert job.result["engine"] == "built"
        (engine,) = await side.engines.show("detector")
        manifest = engine.manifest
        assert (manifest.key, manifest.layers, engine.current) == (key, 12, False)
        assert manifest.parts.flavour == "tensorrt_rtx"
        assert ".".join(map(str, manifest.plan_version)) == manifest.parts.tensorrt
        assert manifest.verification == "header"
        assert (
            job.result["current"]
            == f"not switched: it was not tried: {manifest.verification_reason}"
        )
        folder = Path(engine.path).parent
        assert sorted(path.name for path in folder.iterdir()) == [
            "build.log",
            "manifest.json",
            "model.plan",
            "runtime",
        ]
        assert json.loads((folder / "manifest.json").read_text())["plan_bytes"] == len(
            (folder / "model.plan").read_bytes()
        )
        text = await side.log(job)
        assert "12 layers, inputs images [-1, 3, 64, 64]" in text
        assert "Building engine" in text

        again = await side.build(onnx)
        assert (again.state, again.result["engine"]) == ("succeeded", "was there")
        assert again.result["key"] == key
        other = await side.build(onnx, compute_capabilities=["8.9"])
        assert other.result["key"] != key
        assert side.files() == sorted(f"detector/{each}" for each in (key, other.result["key"]))


async def test_the_same_model_elsewhere_is_the_same_engine(tmp_path: Path, onnx: Path) -> None:
    copy = tmp_path / "copy.onnx"
    put(copy, onnx_made.detector())
    async with engine_side(tmp_path) as side:
        first, second = await side.build(onnx), await side.build(copy, timeout_seconds=60)
    assert second.result == {**first.result, "engine": "was there"}


async def test_a_rebuild_takes_the_engines_place(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path) as side:
        first = await side.build(onnx)
        second = await side.build(onnx, rebuild=True)
        assert (second.result["engine"], second.result["key"]) == ("built", first.result["key"])
        (engine,) = await side.engines.list()
        assert engine.manifest.job == second.id


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (onnx_made.unsupported(), "FrobnicateNMS node '/model.22/nms'"),
        (onnx_made.wrong_shape(), "Concat node '/model.12/Concat'"),
    ],
)
async def test_the_parsers_words_reach_the_job(
    tmp_path: Path, onnx: Path, model: bytes, words: str
) -> None:
    put(onnx, model)
    async with engine_side(tmp_path) as side:
        job = await side.build(onnx)
        assert job.problem is not None
        assert (job.state, job.problem.code) == ("failed", "engine.onnx")
        assert words in job.problem.detail
        assert side.files() == []


async def test_a_truncated_model_is_refused_before_a_builder_sees_it(
    tmp_path: Path, onnx: Path
) -> None:
    put(onnx, onnx_made.detector()[:3000])
    async with engine_side(tmp_path) as side:
        job = await side.build(onnx)
    assert job.problem is not None
    assert job.problem.code == "engine.onnx"
    assert "is not a whole ONNX model" in job.problem.detail


async def test_fp16_is_refused_and_not_quietly_left_out(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path) as side:
        job = await side.build(onnx, precision="fp16")
    assert job.problem is not None
    assert (job.problem.code, job.state) == ("engine.unsupported", "failed")
    assert "modelopt.onnx.autocast" in (job.problem.hint or "")


async def test_a_build_is_cancelled(tmp_path: Path, onnx: Path) -> None:
    put(onnx, onnx_made.detector(blocks=500, channels=8))
    async with engine_side(tmp_path) as side:
        job = await side.begin(onnx)
        await side.said(job, "layers, inputs")
        await side.jobs.cancel(job.id, by="maria")
        ended = await side.ended(job)
        assert (ended.state, side.files()) == ("cancelled", [])


async def test_two_who_ask_for_one_engine_get_one_build(tmp_path: Path, onnx: Path) -> None:
    async with engine_side(tmp_path) as side:
        first, second = await asyncio.gather(side.begin(onnx), side.begin(onnx))
        assert first.id == second.id
        assert (await side.ended(first)).state == "succeeded"


async def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    async with engine_side(tmp_path) as side:
        with pytest.raises(ProblemError) as caught:
            await side.begin(tmp_path / "gone.onnx")
    assert caught.value.code == "engine.onnx"


async def test_external_data_belongs_to_the_key(tmp_path: Path) -> None:
    onnx = onnx_made.with_external_data(tmp_path, data_bytes=4 * 1024 * 1024)
    batch = {"min": [1, 1024], "opt": [2, 1024], "max": [4, 1024]}
    async with engine_side(tmp_path) as side:
        first = await side.build(onnx, profiles=[{"x": batch}])
        assert (first.state, first.problem) == ("succeeded", None)
        with (tmp_path / "weights.bin").open("r+b") as file:
            file.write(b"\0\0\x80\x3f")
        second = await side.build(onnx, profiles=[{"x": batch}])
        assert second.result["key"] != first.result["key"]
        (tmp_path / "weights.bin").unlink()
        third = await side.build(onnx, profiles=[{"x": batch}])
    assert third.problem is not None
    assert "weights.bin" in third.problem.detail
