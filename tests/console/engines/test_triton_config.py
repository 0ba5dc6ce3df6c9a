"""What Triton is told of an engine, and which engines it cannot have."""

from __future__ import annotations

import pytest

from agent.protocol.engine_figures import EngineOutput
from agent.protocol.engines import Engine
from agent.protocol.problems import ProblemError
from console.engines.triton_config import triton_config
from tests.console.engines.triton_made import made, ranges, tensor
from tests.console.tui.fake_engines import make_engine

# Made of the tests' words; protobuf's parser reads as much in test_triton_parsed_real.py.
WHOLE = """\
name: "detector"
platform: "tensorrt_plan"
backend: "tensorrt"
max_batch_size: 32
input {
  name: "images"
  data_type: TYPE_FP32
  dims: [ 3, 640, 640 ]
}
output {
  name: "a \\042b\\042"
  data_type: TYPE_FP16
  dims: [ 1 ]
  reshape { shape: [ ] }
}
dynamic_batching {
  preferred_batch_size: [ 8, 32 ]
  max_queue_delay_microseconds: 5710
}
instance_group {
  kind: KIND_GPU
  profile: [ "0", "1" ]
}
version_policy { latest { num_versions: 1 } }
"""


def test_all_that_triton_is_told() -> None:
    profiles = [{"images": ranges(1, 8, 16)}, {"images": ranges(16, 32, 32)}]
    config = triton_config(made(outputs=[tensor('a "b"', [-1], "half")], profiles=profiles))
    comments, told = config.text.splitlines()[:2], config.text.split("\n", 2)[2]
    assert told == WHOLE
    assert comments[1] == (
        "# for NVIDIA A10, by TensorRT 10.13.2.6: no other GPU, no other TensorRT."
    )
    assert config.notes == []


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        (made([tensor("images", [1, 3, 8, 8])]), "the first size of 'images' does not vary"),
        (made(outputs=[tensor("count", [7])]), "the first size of 'count' does not vary"),
        (made(profiles=[{"images": ranges(8, 8, 8)}]), "not anything from 1 up: 8 to 8"),
        (
            made(profiles=[{"images": ranges(1, 1, 1)}, {"images": ranges(8, 8, 8)}]),
            "not anything from 1 up: 1 to 1, 8 to 8",
        ),
        (
            made(profiles=[{"images": ranges(1, 2, 8), "sizes": [[1, 2], [2, 2], [4, 2]]}]),
            "its inputs have different first sizes",
        ),
    ],
)
def test_what_triton_may_not_put_together(engine: Engine, why: str) -> None:
    config = triton_config(engine)
    assert (config.max_batch_size, config.delay_us) == (0, None)
    assert why in config.notes[0]
    assert "dynamic_batching" not in config.text


def test_an_output_that_the_data_makes() -> None:
    """Its first size varies, and is not that of the batch."""
    engine = made(outputs=[tensor("found", [-1, 7])])
    assert triton_config(engine).max_batch_size == 16
    assert engine.manifest.check is not None
    seen = EngineOutput(name="found", shape=[31, 7], dtype="float", bytes=868)
    engine.manifest.check.outputs = [seen]
    config = triton_config(engine)
    assert config.max_batch_size == 0
    assert "the first size of 'found' is not that of the batch" in config.notes[0]


def test_what_is_to_be_known() -> None:
    engine = made(verification="deserialised", verification_reason="no iterations were asked for")
    recipe = engine.manifest.parts.recipe
    assert recipe is not None
    recipe.version_compatible = True
    said = "\n".join(triton_config(engine).notes)
    assert "it was loaded and not run: no iterations were asked for" in said
    assert "--backend-config=tensorrt,version-compatible=true" in said


@pytest.mark.parametrize(
    ("engine", "why", "hint"),
    [
        (make_engine(), "is not known", "roost engine verify NODE detector --key"),
        (make_engine(check=None), "is not known", "roost engine verify"),
        (made([tensor("size", [2], host=True)]), "'size' is a shape tensor", "by hand"),
        (made([tensor("a", [-1, 4], linear=False)]), "not laid out linearly", "by hand"),
        (made([tensor("scale", [])]), "'scale' has no dimensions", "Export the model anew"),
        (made(outputs=[tensor("a", [-1, 4], "fp8")]), "of type fp8", "Export the model anew"),
    ],
)
def test_what_triton_cannot_take(engine: Engine, why: str, hint: str) -> None:
    with pytest.raises(ProblemError) as refused:
        triton_config(engine)
    assert refused.value.code == "engine.no_triton"
    assert why in refused.value.detail
    assert hint in (refused.value.hint or "")


def test_triton_does_not_run_tensorrt_rtx() -> None:
    engine = made()
    engine.manifest.parts.flavour = "tensorrt_rtx"
    with pytest.raises(ProblemError, match="runs only TensorRT's own") as refused:
        triton_config(engine)
    assert refused.value.code == "engine.no_triton"
