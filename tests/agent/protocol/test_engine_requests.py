"""What agents that are older than a field are asked: they refuse fields that they do not know."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.protocol.decoding import from_json
from agent.protocol.engines import (
    BenchRequest,
    BuildRequest,
    Dla,
    EngineRecipe,
    PlanImportRequest,
    Validation,
)
from agent.protocol.workloads import EngineUse

# Newer than the first agents that build engines.
NEWER = ("sparsity", "dla", "not_finite", "cuda_graphs", "shared")


def recipe(**said: Any) -> EngineRecipe:
    return EngineRecipe(model="detector", onnx="detector.onnx", **said)


@pytest.mark.parametrize(
    "request_",
    [
        BuildRequest(recipe=recipe()),
        BenchRequest(recipe=recipe(), batches=[1]),
        PlanImportRequest(model="detector", plan="/detector.plan"),
        EngineUse(model="detector", recipe=recipe()),
        # As the terminal interface has it from a newer agent's manifest.
        from_json(msgspec.json.encode(recipe(sparsity=False, dla=None)), EngineRecipe),
    ],
)
def test_what_says_nothing_is_not_sent(request_: msgspec.Struct) -> None:
    sent = msgspec.json.encode(request_).decode()
    assert [name for name in NEWER if f'"{name}"' in sent] == []


def test_what_says_something_is_sent() -> None:
    said = recipe(sparsity=True, dla=Dla(core=1), validation=Validation(cuda_graphs=True))
    sent = msgspec.json.encode(BuildRequest(recipe=said))
    assert from_json(sent, BuildRequest).recipe == said
