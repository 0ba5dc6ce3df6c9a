"""The peer of an engine build: TensorRT-RTX alone, `python bare_builder.py ONNX PLAN`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

trt: Any = importlib.import_module("tensorrt_rtx")


class Quiet(trt.ILogger):  # type: ignore[misc]
    """Says nothing."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)

    def log(self, severity: Any, message: str) -> None:
        """Drop it."""


def build(onnx: str, plan: str) -> None:
    """As NVIDIA's own example does, for the same GPU and the same sizes as the recipe."""
    logger = Quiet()
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(onnx):
        raise RuntimeError(parser.get_error(0).desc())
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    profile = builder.create_optimization_profile()
    profile.set_shape("images", (1, 3, 64, 64), (4, 3, 64, 64), (8, 3, 64, 64))
    config.add_optimization_profile(profile)
    Path(plan).write_bytes(builder.build_serialized_network(network, config))


if __name__ == "__main__":
    build(*sys.argv[1:])
