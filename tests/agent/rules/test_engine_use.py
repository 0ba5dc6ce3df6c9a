"""Whether the engine in use is what a workload wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.protocol.engines import Engine, EngineRecipe, Stale
from agent.rules.engine_use import ModelNow, built_alike, in_use, notes_on, why_another
from tests.agent.engines.engine_side import recipe
from tests.agent.engines.test_store import A, manifest

ONNX = Path("/m.onnx")
NOW = ModelNow(onnx_sha256="0" * 64, external_sha256={})


def engine(*stale: Stale, imported: str | None = None, **parts: Any) -> Engine:
    made = manifest(A)
    made.parts = msgspec.structs.replace(made.parts, **parts)
    made.imported = imported
    return Engine(model="detector", current=True, path="/e", manifest=made, stale=list(stale))


def stale(what: Any, *, rebuild: bool) -> Stale:
    return Stale(what=what, rebuild=rebuild, text=f"another {what}")


def wanted(**changes: Any) -> EngineRecipe:
    return recipe(ONNX, **changes)


@pytest.mark.parametrize(
    ("there", "recipe", "now", "words"),
    [
        (engine(), wanted(), NOW, None),
        (engine(), wanted(timeout_seconds=5, validation={"iterations": 7}), NOW, None),
        (engine(), wanted(precision="fp16"), NOW, "another precision"),
        (engine(), wanted(profiles=[]), NOW, "another profiles"),
        (engine(), wanted(), ModelNow(onnx_sha256="1" * 64), "not built from /m.onnx as that is"),
        (engine(), wanted(), ModelNow(onnx_sha256="0" * 64, external_sha256={"a": ""}), "as that"),
        (engine(), wanted(), ModelNow(), None),
        (engine(), recipe(Path("/other.onnx")), ModelNow(), "and /other.onnx is not here"),
        (engine(), recipe(Path("/other.onnx")), NOW, None),
        (engine(), wanted(), ModelNow(onnx_sha256="0" * 64, image="sha256:a"), "the node's own"),
        (engine(image="sha256:a"), wanted(), NOW, "shall be in that of the node"),
        (engine(imported="/p"), wanted(), ModelNow(onnx_sha256="0" * 64, image="sha256:a"), None),
        (engine(recipe=None, imported="/p"), wanted(), NOW, "nothing says what it was built from"),
        (engine(recipe=None, imported="/p"), None, ModelNow(), None),
        (engine(stale("model", rebuild=True)), wanted(), NOW, "another model"),
        (engine(stale("model", rebuild=True)), None, ModelNow(), None),
        (engine(stale("driver", rebuild=True)), wanted(), NOW, "another driver"),
        (engine(stale("driver", rebuild=False)), wanted(), NOW, None),
        (engine(stale("power_mode", rebuild=True)), wanted(), NOW, None),
        (engine(stale("gpu", rebuild=False)), None, ModelNow(), "another gpu"),
    ],
)
def test_each_reason(
    there: Engine, recipe: EngineRecipe | None, now: ModelNow, words: str | None
) -> None:
    found = why_another(there, recipe, now)
    assert (found is None) == (words is None), found
    assert words is None or words in str(found)


def test_what_is_told_of_one_that_is_handed_over() -> None:
    there = engine(stale("driver", rebuild=False), stale("model", rebuild=True))
    assert notes_on(there, None) == [
        "the engine is stale: another driver",
        "the engine is stale: another model",
    ]
    assert notes_on(there, wanted()) == ["the engine is stale: another driver"]


def test_what_is_in_use_on_gpus_of_several_kinds() -> None:
    """The one of `current`, and what workloads on the others have; nothing for GPUs that went."""
    current, newer, older = engine(gpu="A10"), engine(gpu="T4"), engine(gpu="T4")
    gone = engine(stale("gpu", rebuild=True), gpu="P100")
    for each in (newer, older, gone):
        each.current = False
    there = [newer, gone, current, older]
    assert in_use(there) == [current]
    older.used_by = gone.used_by = ["detector"]
    assert in_use(there) == [current, newer]
    current.current = False
    assert in_use(there) == [newer]  # nothing is in use: the newest alone


@pytest.mark.parametrize(
    ("changed", "alike"),
    [
        ({"gpu": "T4", "compute_capability": "7.5"}, True),
        ({"recipe": wanted(compute_capabilities=["7.5"])}, True),
        ({"recipe": wanted(precision="fp16")}, False),
        ({"onnx_sha256": "1" * 64}, False),
        ({"tensorrt": "11.0.0.1"}, False),
        ({"recipe": None}, False),
    ],
)
def test_what_differs_in_its_gpu_only(changed: dict[str, Any], *, alike: bool) -> None:
    assert built_alike(engine().manifest.parts, engine(**changed).manifest.parts) == alike
