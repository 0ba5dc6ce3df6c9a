"""worker.py and what only TensorRT-RTX has on a GPU: its recorded surface, and no GPU.

The real TensorRT-RTX builds without one (test_worker_real), and runs nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.engines.versions_side import RTX, Side, model
from tests.libcuda_stub.build import build

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side(RTX, tmp_path, build(tmp_path))


def test_an_engine_is_built_and_run(side: Side) -> None:
    ended = side.run(compute_capabilities=["8.6"])
    assert (ended.code, ended.held) == (0, 0), ended
    told = ended.the("versions")
    assert (told["flavour"], told["tensorrt"]) == ("tensorrt_rtx", "1.7.1.116")
    checked = ended.the("checked")
    assert (checked["state"], checked["latencies"][0]["p50_ms"]) == ("ran", 4.0)
    assert side.plan()["network_flags"] == 1, "strongly typed, and nothing else"


def test_what_it_compiles_is_kept_for_the_next_time(side: Side) -> None:
    cache = side.folder / "runtime.cache"
    for times in (1, 2):
        ended = side.run(runtime_cache=str(cache))
        assert (ended.code, ended.messages) == (0, [])
        assert cache.read_bytes() == b"compiled " * times
    ended = side.run(action="check", runtime_cache=str(cache))
    assert cache.read_bytes() == b"compiled " * 3
    assert not cache.with_name("runtime.cache.new").exists()


def test_a_cache_that_does_not_fit_is_made_anew(side: Side) -> None:
    cache = side.folder / "runtime.cache"
    cache.write_bytes(b"of another driver")
    ended = side.run(runtime_cache=str(cache))
    assert ended.code == 0
    assert ended.messages == [f"the runtime cache {cache} does not fit, and is made anew"]
    assert cache.read_bytes() == b"compiled "


def test_a_cache_that_cannot_be_kept_costs_no_engine(side: Side) -> None:
    ended = side.run(runtime_cache=str(side.folder / "gone" / "runtime.cache"))
    assert (ended.code, ended.the("checked")["state"]) == (0, "ran")
    assert ended.messages[0].startswith("the cache is not kept: ")


def test_no_iterations_compile_nothing(side: Side) -> None:
    cache = side.folder / "runtime.cache"
    assert side.run(runtime_cache=str(cache), validation={"iterations": 0}).code == 0
    assert not cache.exists()


def test_what_it_says_of_a_plan_without_taking_it(side: Side) -> None:
    assert side.run().code == 0
    plan = side.folder / "model.plan"
    data = bytearray(plan.read_bytes())
    data[24] += 1
    plan.write_bytes(bytes(data))
    ended = side.run(action="check")
    assert (ended.code, ended.last["code"], ended.held) == (1, "engine.unfit", 0)
    assert "TensorRT does not take the plan (VERSION_MISMATCH)" in ended.last["text"]
    assert "toy: expecting library version" in ended.last["text"]


def test_precision_is_the_models_own(side: Side) -> None:
    ended = side.run(model(), precision="fp16")
    assert (ended.code, ended.last["code"]) == (1, "engine.unsupported")
