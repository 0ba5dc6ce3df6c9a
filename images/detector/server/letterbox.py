"""From a picture to a model's input: scaled as a whole, the rest grey, and the way back."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from .problems import bad
from .shares import Shares

Floats = npt.NDArray[np.float32]
# What YOLO models were trained with beside the picture.
GREY = 114
# A picture in parts, each of all of it and each decoded: ten are usual, and a hundred bytes are
# enough for one.
MOST_SCANS = 100
_SCAN = b"\xff\xda"
# EXIF's numbers for how a picture is to be turned to be seen; 1 is not at all.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ASIDE = {_TURNS[number] for number in (5, 6, 7, 8)}


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


class Letterbox:
    """Pictures of at most `max_pixels`, and never more than that of those in memory as a whole."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        # Pillow's own is not ours: it would warn from half of that on, and call more damaged.
        Image.MAX_IMAGE_PIXELS = None
        self._in_memory = Shares(max_pixels)

    def input(self, jpeg: bytes | memoryview, size: tuple[int, int]) -> tuple[Floats, Fit]:
        """A JPEG as input (3, height, width), RGB from 0 to 1, and where it lies in that.

        It is as it is shown: EXIF may say that it lies on its side. Blocks; for a thread.

        Raises:
            RequestError: 400, it is no JPEG, is damaged, or has more pixels.
        """
        scaled, fitting = self._scaled(jpeg, size)
        canvas = np.full((*size, 3), GREY, np.uint8)
        right, bottom = fitting.left + scaled.width, fitting.top + scaled.height
        canvas[fitting.top : bottom, fitting.left : right] = np.asarray(scaled)
        made: Floats = canvas.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        return made, fitting

    def _scaled(self, jpeg: bytes | memoryview, size: tuple[int, int]) -> tuple[Image.Image, Fit]:
        try:
            with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
                pixels = picture.width * picture.height
                if pixels > self._max_pixels:
                    raise bad(
                        "image.too_large",
                        f"the picture has {picture.width} x {picture.height} pixels,"
                        f" over {self._max_pixels}",
                        "Send a smaller one, or set DETECTOR_MAX_PIXELS.",
                    )
                scans = bytes(jpeg).count(_SCAN)
                if scans > MOST_SCANS:
                    raise bad(
                        "image.too_many_scans",
                        f"the JPEG has {scans} scans, over {MOST_SCANS}",
                        "Write it with fewer, or as a baseline JPEG.",
                    )
                # Of others libjpeg keeps a few lines, of these all, before it can scale any.
                kept = pixels if scans > 1 or picture.info.get("progressive") else 0
                with self._in_memory.taking(kept):
                    return _shown(picture, size)
        except UnidentifiedImageError:
            raise bad(
                "image.not_jpeg", "the body is no JPEG", "Send the JPEG's bytes as the body."
            ) from None
        except (OSError, SyntaxError, ValueError) as error:
            raise bad(
                "image.damaged", f"the JPEG cannot be decoded: {error}", "Was it sent whole?"
            ) from None


def _shown(picture: Image.Image, size: tuple[int, int]) -> tuple[Image.Image, Fit]:
    """Scaled to fit, and turned as EXIF says."""
    turn = _TURNS.get(_orientation(picture) or 0)
    aside = turn in _ASIDE
    width, height = picture.size[::-1] if aside else picture.size
    fitting, inner = fit(width, height, size)
    if aside:
        inner = inner[1], inner[0]
    # libjpeg scales by 1/2, 1/4, 1/8 as it decodes, and never below what is asked for.
    picture.draft("RGB", inner)
    scaled = picture.convert("RGB").resize(inner, Image.Resampling.BILINEAR)
    return scaled if turn is None else scaled.transpose(turn), fitting


def _orientation(picture: Image.Image) -> int | None:
    if "exif" not in picture.info:
        return None
    try:
        found: object = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - it is read with many a parser, and the picture is well
        return None
    return found if isinstance(found, int) else None
