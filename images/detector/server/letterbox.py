"""From a picture to a model's input: scaled as a whole, the rest grey, and the way back."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from .problems import bad

Floats = npt.NDArray[np.float32]
# What YOLO models were trained with beside the picture.
GREY = 114


@dataclass(frozen=True)
class Fit:
    """Where a picture lies in the input: `x = left + scale * x of the picture`, in pixels."""

    width: int
    height: int
    scale: float
    left: int
    top: int

    def back(self, boxes: Floats) -> Floats:
        """Boxes (n, 4) as x1, y1, x2, y2 of the input, in the picture's pixels, clipped to it."""
        moved = (boxes - np.array([self.left, self.top] * 2, np.float32)) / self.scale
        limits = np.array([self.width, self.height] * 2, np.float32)
        clipped: Floats = np.clip(moved, 0, limits).astype(np.float32)
        return clipped


def fit(width: int, height: int, size: tuple[int, int]) -> tuple[Fit, tuple[int, int]]:
    """How a picture fits into an input of `size` (height, width), and the size it is scaled to."""
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size[1] - inner[0]) // 2, (size[0] - inner[1]) // 2
    return Fit(width, height, scale, left, top), inner


def letterboxed(
    jpeg: bytes | memoryview, size: tuple[int, int], *, max_pixels: int
) -> tuple[Floats, Fit]:
    """A JPEG as input (3, height, width), RGB from 0 to 1. Blocks; for a thread.

    Raises:
        RequestError: 400, it is no JPEG, is damaged, or has more than `max_pixels`.
    """
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise bad(
                    "image.too_large",
                    f"the picture has {width} x {height} pixels, over {max_pixels}",
                    "Send a smaller one, or set DETECTOR_MAX_PIXELS.",
                )
            fitting, inner = fit(width, height, size)
            # libjpeg scales by 1/2, 1/4, 1/8 as it decodes, and never below what is asked for.
            picture.draft("RGB", inner)
            scaled = picture.convert("RGB").resize(inner, Image.Resampling.BILINEAR)
    except UnidentifiedImageError:
        raise bad(
            "image.not_jpeg", "the body is no JPEG", "Send the JPEG's bytes as the body."
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise bad(
            "image.damaged", f"the JPEG cannot be decoded: {error}", "Was it sent whole?"
        ) from None
    canvas = np.full((*size, 3), GREY, np.uint8)
    canvas[fitting.top : fitting.top + inner[1], fitting.left : fitting.left + inner[0]] = (
        np.asarray(scaled)
    )
    made: Floats = canvas.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return made, fitting
