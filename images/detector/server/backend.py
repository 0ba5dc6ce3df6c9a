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


class NoRoomError(Exception):
    """The GPU has no memory for these images; it is well, and fewer or smaller ones may run."""


class UnfitError(Exception):
    """These images are not what the model takes, in words for who sent them."""


@dataclass(frozen=True)
class Shape:
    """What the model takes and gives. A size that is None may be any."""

    input_name: str
    input: tuple[int | None, ...]  # batch, 3, height, width
    output_name: str
    output: tuple[int | None, ...]  # batch, 4 + classes, n; all None where nobody says
    # What the open sizes of the input may be, where that is bounded: as `input`.
    smallest: tuple[int, ...] | None = None
    largest: tuple[int, ...] | None = None

    def takes(self, images: tuple[int, ...]) -> bool:
        """Whether images of this shape may be run, in parts where they are too many."""
        if len(images) != len(self.input) or images[0] < 1:
            return False
        if any(
            want not in (None, got) for want, got in zip(self.input[1:], images[1:], strict=True)
        ):
            return False
        least, most = self.smallest or images, self.largest or images
        return all(
            low <= size <= high
            for low, size, high in zip(least[1:], images[1:], most[1:], strict=True)
        )


class Backend(Protocol):
    """A model that is loaded. `run` is called by one thread at a time."""

    kind: str  # "tensorrt", "onnx-cuda", "onnx-cpu"
    shape: Shape
    max_batch: int | None  # None: any
    least_batch: int  # as `max_batch` where the model's batch is fixed

    def run(self, images: Floats) -> Floats:
        """Raises GpuLostError, NoRoomError, UnfitError; anything else is about these images."""

    def close(self) -> None:
        """Give memory back; it is not running."""
