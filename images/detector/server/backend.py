"""What runs the model, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class NotUsableError(Exception):
    """Why something cannot run the model here, in words for the log."""


class GpuLostError(Exception):
    """The GPU failed under the model; nothing that runs there goes on."""


@dataclass(frozen=True)
class Shape:
    """What the model takes and gives. A size that is None may be any."""

    input_name: str
    input: tuple[int | None, ...]  # batch, 3, height, width
    output_name: str
    output: tuple[int | None, ...]  # batch, 4 + classes, n; all None where nobody says


class Backend(Protocol):
    """A model that is loaded. `run` is called by one thread at a time."""

    kind: str  # "tensorrt", "onnx-cuda", "onnx-cpu"
    shape: Shape
    max_batch: int | None  # None: any; 1: fixed

    def run(self, images: Floats) -> Floats:
        """Raises GpuLostError; anything else is about these images."""

    def close(self) -> None:
        """Give memory back; it is not running."""
