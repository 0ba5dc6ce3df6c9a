"""When two engines are the same one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.protocol.engines import EngineParts, EngineRecipe
from agent.rules.engine_keys import engine_key, impossible

IMAGES = {"min": [1, 3, 64, 64], "opt": [4, 3, 64, 64], "max": [8, 3, 64, 64]}
FLAGS = {"min": [1, 1], "opt": [4, 1], "max": [8, 1]}


def recipe(**changes: Any) -> EngineRecipe:
    said = {"model": "m", "onnx": "/m.onnx", "profiles": [{"images": IMAGES, "flags": FLAGS}]}
    return msgspec.convert({**said, **changes}, EngineRecipe)


def parts(**changes: Any) -> EngineParts:
    said: dict[str, Any] = {
        "onnx_sha256": "0" * 64,
        "external_sha256": {"a": "1", "b": "2"},
        "recipe": recipe(),
        "flavour": "tensorrt",
        "tensorrt": "10.13.2.6",
        "gpu": "NVIDIA A10",
        "compute_capability": "8.6",
        "gpu_memory_bytes": 24 * 2**30,
    }
    return EngineParts(**{**said, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"onnx_sha256": "1" * 64},
        {"external_sha256": {"a": "1", "b": "3"}},
        {"flavour": "tensorrt_rtx"},
        {"tensorrt": "10.13.2.7"},
        {"gpu": "NVIDIA A10G"},
        {"compute_capability": "8.9"},
        {"gpu_memory_bytes": 23 * 2**30},
        {"sm_count": 72},
        {"image": "sha256:a"},
        {"calibration_sha256": "2" * 64},
        {"module": "Jetson AGX Orin"},
        {"l4t": "36.4.0"},
        {"power_mode": "MAXN"},
        {"recipe": None, "plan_sha256": "3" * 64},
        {"recipe": recipe(timing_cache=False)},
        {"recipe": recipe(gpu_memory_bytes=2**30)},
        {"recipe": recipe(precision="fp16")},
        {"recipe": recipe(profiles=[])},
        {"recipe": recipe(profiles=[{"images": IMAGES}, {"flags": FLAGS}])},
        {"recipe": recipe(workspace_bytes=1)},
        {"recipe": recipe(optimization_level=5)},
        {"recipe": recipe(version_compatible=True)},
        {"recipe": recipe(sparsity=True)},
        {"recipe": recipe(dla={})},
        {"recipe": recipe(dla={"core": 1})},
        {"recipe": recipe(dla={"gpu_fallback": True})},
        {"recipe": recipe(hardware_compatibility="ampere_plus")},
        {"recipe": recipe(compute_capabilities=["8.6"])},
    ],
)
def test_another_engine(changes: dict[str, Any]) -> None:
    assert engine_key(parts(**changes)) != engine_key(parts())


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": recipe(model="other", onnx="/elsewhere.onnx", timeout_seconds=5)},
        {"recipe": recipe(executor="container", image="a:1", memory_bytes=1)},
        {"recipe": recipe(calibration_cache="/c", validation={"iterations": 9})},
        {"recipe": recipe(profiles=[{"flags": FLAGS, "images": IMAGES}])},
        {"external_sha256": {"b": "2", "a": "1"}},
    ],
)
def test_the_same_engine(changes: dict[str, Any]) -> None:
    assert engine_key(parts(**changes)) == engine_key(parts())


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({**IMAGES, "opt": [9, 3, 64, 64]}, "min 1, opt 9, max 8 do not ascend"),
        ({**IMAGES, "min": [-1, 3, 64, 64]}, "a size is below 0"),
        ({**IMAGES, "max": [2**31, 3, 64, 64]}, "or over 2147483647"),
        ({**IMAGES, "opt": [4, 3, 64]}, "different numbers of dimensions"),
    ],
)
def test_what_cannot_be_built_whatever_the_model(ranges: Any, words: str) -> None:
    wrong = impossible(recipe(profiles=[{"images": IMAGES}, {"images": ranges}]))
    assert wrong is not None
    assert wrong.startswith("profile 2, input 'images': ")
    assert words in wrong
    assert impossible(recipe()) is None
    assert impossible(recipe(compute_capabilities=["8.6", "sm_86"])) is not None


def test_an_unknown_key_of_a_recipe_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `presicion`"):
        recipe(presicion="fp16")


def test_a_key_is_what_it_was_before_there_were_sparsity_and_dla() -> None:
    assert engine_key(parts()) == (
        "c7ed5f408a6a35831460f96066daa867634d844a947af62a2cd3974767cdd5df"
    )
    assert engine_key(parts(recipe=recipe(sparsity=False))) == engine_key(parts())


def test_what_a_dla_does_not_compute() -> None:
    assert impossible(recipe(dla={}, precision="fp16")) is None
    wrong = impossible(recipe(dla={}, precision="bf16"))
    assert wrong == "a DLA computes in fp16 and int8 only, and precision is bf16"
    rtx = impossible(recipe(dla={}, compute_capabilities=["8.6"]))
    assert rtx is not None
    assert "TensorRT-RTX" in rtx
