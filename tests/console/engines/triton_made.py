"""Engines as they tell what goes into them and comes out."""

from __future__ import annotations

from typing import Any

from agent.protocol.engines import Engine
from tests.console.tui.fake_engines import latency, make_engine

IMAGES = [-1, 3, 640, 640]


def tensor(name: str, shape: list[int], dtype: str = "float", **fields: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "dtype": dtype, **fields}


def ranges(low: int, best: int, high: int, size: int = 640) -> list[list[int]]:
    return [[batch, 3, size, size] for batch in (low, best, high)]


def made(
    inputs: list[dict[str, Any]] | None = None,
    outputs: list[dict[str, Any]] | None = None,
    profiles: list[dict[str, Any]] | None = None,
    **fields: Any,
) -> Engine:
    """An engine that takes 1 to 16 images, best 8, and was measured."""
    check = {
        "state": "ran",
        "latencies": [latency(8, 11.42), latency(1, 2.1)],
        "tensors": {
            "inputs": inputs or [tensor("images", IMAGES)],
            "outputs": outputs or [tensor("boxes", [-1, 84, 8400])],
            "profiles": profiles or [{"images": ranges(1, 8, 16)}],
        },
    }
    return make_engine(check=check, **fields)
