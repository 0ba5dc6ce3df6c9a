"""From a model's output to boxes."""

from __future__ import annotations

import numpy as np
import pytest

from images.detector.server.boxes import Floats, found, suppressed


def output(*candidates: tuple[float, ...]) -> Floats:
    """Centre x, centre y, width, height, and a score for each class, of each candidate."""
    made: Floats = np.array(candidates, np.float32).T
    return made


def test_the_best_of_those_that_overlap_stays() -> None:
    seen = found(
        output((20, 20, 10, 10, 0.8, 0.1), (21, 20, 10, 10, 0.9, 0.1), (60, 60, 10, 20, 0.5, 0.0)),
        confidence=0.25,
        iou=0.45,
    )
    assert seen.boxes.tolist() == [[16, 15, 26, 25], [55, 50, 65, 70]]
    assert seen.scores.tolist() == pytest.approx([0.9, 0.5])
    assert seen.classes.tolist() == [0, 0]


def test_classes_do_not_suppress_each_other() -> None:
    seen = found(
        output((20, 20, 10, 10, 0.8, 0.1), (20, 20, 10, 10, 0.1, 0.7)), confidence=0.25, iou=0.45
    )
    assert seen.classes.tolist() == [0, 1]


def test_nothing_and_nan_are_no_boxes() -> None:
    low = (20.0, 20.0, 10.0, 10.0, 0.1)
    nan = (20.0, 20.0, 10.0, 10.0, float("nan"))
    seen = found(output(low, nan), confidence=0.25, iou=0.45)
    assert seen.boxes.shape == (0, 4)
    assert seen.scores.tolist() == seen.classes.tolist() == []


def test_an_overlap_at_the_limit_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 5, 10, 15], [0, 0, 10, 10]], np.float32)
    third = 50 / 150
    same = np.zeros(3, np.int64)
    assert suppressed(boxes, same, iou=third).tolist() == [0, 1]
    assert suppressed(boxes, same, iou=0.3).tolist() == [0]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf"), 3e38])
@pytest.mark.parametrize("where", range(5))
def test_one_that_lies_nowhere_is_left_out_and_the_others_stay(odd: float, where: int) -> None:
    good = (20.0, 20.0, 10.0, 10.0, 0.5, 0.1)
    other = (60.0, 60.0, 10.0, 10.0, 0.1, 0.6)
    broken = [40.0, 40.0, 10.0, 10.0, 0.9, 0.1]
    broken[where] = odd
    seen = found(output(good, tuple(broken), other), confidence=0.25, iou=0.45)
    boxes = [[55, 55, 65, 65], [15, 15, 25, 25]]
    if where == 4 and odd == 3e38:  # a score that is no probability is a score
        boxes.insert(0, [35, 35, 45, 45])
    assert [box for box in seen.boxes.tolist() if box in boxes] == boxes
    assert np.isfinite(seen.boxes).all()
    assert np.isfinite(seen.scores).all()
    assert len(seen.boxes) == len(boxes)
