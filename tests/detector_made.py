"""A detector with a YOLO's output that really finds things: squares of a bright colour."""

from __future__ import annotations

from tests import onnx_made

CELL = 8
# Larger than a cell, so that neighbours overlap and suppression has something to do.
BOX = 24.0
CLASSES = ("red", "green", "blue")


def colour_detector(
    *,
    size: int = 64,
    batch: int | str = "batch",
    shift: float = 0.0,
    work: int = 0,
    dense: int = 0,
) -> bytes:
    """Input `images` (batch, 3, size, size), RGB from 0 to 1; output `output0` (batch, 4 + 3, n).

    Each cell of 8 x 8 pixels is a candidate with a box of 24 pixels around it. Its score for a
    class is high where that colour is high in all of the cell and the others are low.

    Args:
        shift: added to the boxes' centres, so that two models can be told apart.
        work: so many 3x3 convolutions of 16 channels come before, and add nothing but time.
        dense: so many outputs has a layer that is connected to all of the image, and adds nothing:
            its weights are read once for each run, however many images are in it.
    """
    side = size // CELL
    count = side * side
    nodes: list[bytes] = []
    made: list[bytes] = []
    at = "images"
    if work:
        nodes, made, at = _work(work)
    if dense:
        at = _dense(nodes, made, at, values=3 * size * size, outputs=dense)
    # For each class: the mean of its colour less the means of the others.
    kernel = [
        (1.0 if channel == label else -1.0) / CELL**2
        for label in range(3)
        for channel in range(3)
        for _ in range(CELL**2)
    ]
    made += [
        onnx_made.constant("kernel", kernel, shape=(3, 3, CELL, CELL)),
        onnx_made.constant("steep", [12.0]),
        onnx_made.constant("middle", [-0.5]),
        onnx_made.constant("nothing", [0.0]),
        onnx_made.integers("flat", [0, 3, count]),
        onnx_made.constant("boxes", _boxes(side, shift), shape=(1, 4, count)),
    ]
    nodes += [
        onnx_made.node("Conv", [at, "kernel"], "means", name="/head/means", strides=[CELL, CELL]),
        onnx_made.node("Add", ["means", "middle"], "over", name="/head/over"),
        onnx_made.node("Mul", ["over", "steep"], "steeper", name="/head/steeper"),
        onnx_made.node("Sigmoid", ["steeper"], "scores", name="/head/scores"),
        onnx_made.node("Reshape", ["scores", "flat"], "classes", name="/head/classes"),
        # The boxes, as often as there are images.
        onnx_made.node("ReduceSum", ["classes", "axis"], "sums", name="/head/sums", keepdims=1),
        onnx_made.node("Mul", ["sums", "nothing"], "zeros", name="/head/zeros"),
        onnx_made.node("Add", ["zeros", "boxes"], "placed", name="/head/placed"),
        onnx_made.node("Concat", ["placed", "classes"], "output0", name="/head/output", axis=1),
    ]
    made.append(onnx_made.integers("axis", [1]))
    return onnx_made.model(
        nodes, made, inputs={"images": [batch, 3, size, size]}, outputs=["output0"]
    )


def _boxes(side: int, shift: float) -> list[float]:
    """Centre x of all cells, then centre y, width, height."""
    centres = [(each + 0.5) * CELL + shift for each in range(side)]
    across = [x for _ in range(side) for x in centres]
    down = [y for y in centres for _ in range(side)]
    return [*across, *down, *[BOX] * (2 * side * side)]


def _dense(nodes: list[bytes], made: list[bytes], at: str, *, values: int, outputs: int) -> str:
    """The images, to which the sum of the layer's outputs times nothing is added."""
    made += [
        onnx_made.repeated("all", (values, outputs), [0.5, -0.5, 0.25, -0.25]),
        onnx_made.integers("row", [0, values]),
        onnx_made.integers("last", [1]),
        onnx_made.integers("one", [0, 1, 1, 1]),
        onnx_made.constant("nil", [0.0]),
    ]
    nodes += [
        onnx_made.node("Reshape", [at, "row"], "rows", name="/dense/rows"),
        onnx_made.node("MatMul", ["rows", "all"], "outs", name="/dense/outs"),
        onnx_made.node("ReduceSum", ["outs", "last"], "sum", name="/dense/sum", keepdims=1),
        onnx_made.node("Reshape", ["sum", "one"], "sum4", name="/dense/sum4"),
        onnx_made.node("Mul", ["sum4", "nil"], "none", name="/dense/none"),
        onnx_made.node("Add", [at, "none"], "densed", name="/dense/add"),
    ]
    return "densed"


def _work(layers: int) -> tuple[list[bytes], list[bytes], str]:
    """Convolutions whose outcome is multiplied by nothing and added to the images."""
    nodes, made = [], []
    at, depth = "images", 3
    for number in range(layers):
        last = number == layers - 1
        width = 3 if last else 16
        made.append(onnx_made.weights(f"w{number}", (width, depth, 3, 3), seed=number))
        nodes.append(
            onnx_made.node(
                "Conv", [at, f"w{number}"], f"c{number}", name=f"/conv/{number}", pads=[1, 1, 1, 1]
            )
        )
        at, depth = f"c{number}", width
    made.append(onnx_made.constant("tiny", [1e-12]))
    nodes += [
        onnx_made.node("Mul", [at, "tiny"], "faint", name="/conv/faint"),
        onnx_made.node("Add", ["images", "faint"], "worked", name="/conv/worked"),
    ]
    return nodes, made, "worked"
