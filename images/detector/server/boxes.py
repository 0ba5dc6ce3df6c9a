"""From a YOLO's output to boxes: threshold and non-maximum suppression, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# More are noise, and would make suppression slow.
CANDIDATES = 1000
# In pixels. What lies farther away, or nowhere, is no place in a picture.
FARTHEST = 1e6


@dataclass(frozen=True)
class Found:
    """What was found in one picture: boxes (n, 4) as x1, y1, x2, y2, the best first."""

    boxes: Floats
    scores: Floats
    classes: npt.NDArray[np.int64]


def found(output: Floats, *, confidence: float, iou: float) -> Found:
    """Of one picture's output (4 + classes, n): centre x, centre y, width, height, scores.

    That is how YOLOv8 and later write it, without objectness.
    """
    scores = output[4:].max(axis=0)
    # NaN is over nothing and below nothing, so it is left out.
    placed = np.abs(output[:4]).max(axis=0) <= FARTHEST
    (kept,) = np.nonzero((scores >= confidence) & (scores < np.inf) & placed)
    if len(kept) > CANDIDATES:
        kept = kept[np.argpartition(-scores[kept], CANDIDATES)[:CANDIDATES]]
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    classes = output[4:, kept].argmax(axis=0)
    centre, half = output[:2, kept].T, output[2:4, kept].T / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    chosen = suppressed(boxes, classes, iou=iou)
    return Found(boxes[chosen], scores[kept][chosen], classes[chosen])


def suppressed(
    boxes: Floats, classes: npt.NDArray[np.int64], *, iou: float
) -> npt.NDArray[np.int64]:
    """Which of the boxes (n, 4), the best first, overlap no better one of their class (n) by more
    than `iou`.
    """
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    left = np.arange(len(boxes))
    chosen: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        chosen.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        union = areas[best] + areas[left] - common
        left = left[(common <= iou * union) | (classes[left] != classes[best])]
    return np.array(chosen, np.int64)
