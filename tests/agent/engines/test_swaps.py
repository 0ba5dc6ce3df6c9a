"""Parts of a node that were replaced by ones that are alike, and what is named in another way."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import EngineUse
from tests import onnx_made
from tests.agent.engines.engine_side import (
    A10,
    PLAN,
    Node,
    engine_side,
    put,
    recipe,
    stand_in,
)

pytestmark = pytest.mark.timeout(60)

JETSON = Gpu(uuid="TEGRA-1424221012345", index=0, name="Orin", compute_capability="8.7")
TELL_SEEN = (
    "seen = repr(os.environ['CUDA_VISIBLE_DEVICES'])\n"
    "tell({'event': 'message', 'severity': 'warning', 'text': f'CUDA sees {seen}'})"
)


async def test_a_release_that_names_a_model_that_a_bundle_brought(tmp_path: Path) -> None:
    """It is built and handed by the same name, which leads below the agent's models."""
    place = tmp_path / "models" / "plant" / "detector.onnx"
    place.parent.mkdir(parents=True)
    put(place, onnx_made.detector(blocks=1))
    named = recipe(Path("plant/detector.onnx"))
    async with engine_side(tmp_path, [stand_in(tmp_path)], gpus=[A10]) as side:
        key = (await side.build(Path("plant/detector.onnx"))).result["key"]
        for required in (True, False):
            use = EngineUse(model="detector", recipe=named, required=required)
            handed = await side.engines.hand(use, [A10])
            assert handed.manifest.key == key
            assert use.recipe == named, "what was asked for is left as it is"
        put(place, onnx_made.detector(blocks=2))
        with pytest.raises(ProblemError, match="has changed") as caught:
            await side.engines.hand(EngineUse(model="detector", recipe=named))
        assert caught.value.code == "workload.no_engine"


@pytest.mark.parametrize(("gpu", "seen"), [(JETSON, "'0'"), (A10, "'GPU-aaa'")])
async def test_the_gpu_as_cuda_names_it(tmp_path: Path, onnx: Path, gpu: Gpu, seen: str) -> None:
    async with engine_side(tmp_path, [stand_in(tmp_path, TELL_SEEN)], gpus=[gpu]) as side:
        job = await side.build(onnx)
        assert job.problem is None, job.problem
        assert f"warning: CUDA sees {seen}" in await side.log(job)


async def test_an_identical_gpu_in_place_of_a_broken_one(tmp_path: Path, onnx: Path) -> None:
    node = Node(gpus=[A10])
    async with engine_side(tmp_path, [stand_in(tmp_path)], node=node) as side:
        first = await side.build(onnx)
        (engine,) = await side.engines.list()
        assert engine.gpu_gone is False
        node.gpus = [msgspec.structs.replace(A10, uuid="GPU-new")]
        node.driver = "590.10"  # as when it was put in
        (engine,) = await side.engines.list()
        assert ([each.what for each in engine.stale], engine.gpu_gone) == (["driver"], True)
        request = engine.again()
        assert request is not None
        assert request.gpu is None
        job = await side.ended(await side.engines.build(request, owner="maria", key=None))
        assert (job.problem, job.result) == (None, {**first.result, "engine": "was there"})
        (engine,) = await side.engines.list()
        assert engine.stale == []


@pytest.mark.parametrize(
    ("here", "named"), [("10.13.2", "10.13.2"), ("10.13.2.6", "10.13.2.6"), ("10.14.0", None)]
)
async def test_a_plan_of_a_tensorrt_that_tells_three_numbers_of_itself(
    tmp_path: Path, here: str, named: str | None
) -> None:
    """The plan's header has four; an older one is tried, and may be of any that is older."""
    builder = stand_in(tmp_path)
    put(builder, builder.read_bytes().replace(b"10.13.2.6", here.encode()))
    put(tmp_path / "plan", PLAN)
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        job = await side.take_in(tmp_path / "plan", model="detector")
        assert (job.problem, job.result.get("current")) == (None, "yes")
        (engine,) = await side.engines.list()
        assert engine.manifest.parts.tensorrt == (named or "10.13.2.6")
        assert engine.stale == []


async def test_a_plan_of_a_newer_tensorrt_than_three_numbers_tell(tmp_path: Path) -> None:
    builder = stand_in(tmp_path)
    put(builder, builder.read_bytes().replace(b"10.13.2.6", b"10.13.1"))
    put(tmp_path / "plan", PLAN)
    async with engine_side(tmp_path, [builder], gpus=[A10]) as side:
        job = await side.take_in(tmp_path / "plan", model="detector")
        assert job.problem is not None
        assert job.problem.code == "engine.unfit"
