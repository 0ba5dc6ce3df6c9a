"""ONNX models, written field by field as onnx.proto3 numbers them: small, and exactly as wrong."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

FLOAT = 1
INT64 = 7
INT = 2
INTS = 7


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= 2**64 - 1
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def weights(name: str, shape: Sequence[int], *, seed: int = 0) -> bytes:
    """A TensorProto of small random floats."""
    count = 1
    for size in shape:
        count *= size
    made = random.Random(seed)
    data = struct.pack(f"<{count}f", *(made.uniform(-0.1, 0.1) for _ in range(count)))
    return _tensor(name, shape) + _bytes(9, data)


def repeated(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    """A TensorProto of these floats over and over; how many there are divides its size."""
    block = struct.pack(f"<{len(values)}f", *values)
    times, rest = divmod(math.prod(shape), len(values))
    assert rest == 0
    return _tensor(name, shape) + _bytes(9, block * times)


def constant(name: str, values: Sequence[float], *, shape: Sequence[int] = ()) -> bytes:
    """A TensorProto of these floats; without a shape a list."""
    data = struct.pack(f"<{len(values)}f", *values)
    return _tensor(name, shape or [len(values)]) + _bytes(9, data)


def integers(name: str, values: Sequence[int]) -> bytes:
    """A TensorProto of these as int64."""
    data = struct.pack(f"<{len(values)}q", *values)
    return _tensor(name, [len(values)], kind=INT64) + _bytes(9, data)


def external_weights(name: str, shape: Sequence[int], location: str) -> bytes:
    """A TensorProto whose floats are a file beside the model."""
    entry = _bytes(1, "location") + _bytes(2, location)
    return _tensor(name, shape) + _bytes(13, entry) + _number(14, 1)


def _tensor(name: str, shape: Sequence[int], *, kind: int = FLOAT) -> bytes:
    return b"".join(_number(1, size) for size in shape) + _number(2, kind) + _bytes(8, name)


def node(
    operator: str,
    inputs: Sequence[str],
    output: str,
    *,
    name: str,
    **attributes: int | Sequence[int],
) -> bytes:
    """A NodeProto."""
    made = b"".join(_bytes(1, each) for each in inputs) + _bytes(2, output) + _bytes(3, name)
    made += _bytes(4, operator)
    for key, value in attributes.items():
        if isinstance(value, int):
            attribute = _bytes(1, key) + _number(3, value) + _number(20, INT)
        else:
            numbers = b"".join(_number(8, each) for each in value)
            attribute = _bytes(1, key) + numbers + _number(20, INTS)
        made += _bytes(5, attribute)
    return made


def model(
    nodes: Sequence[bytes],
    initializers: Sequence[bytes],
    *,
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
) -> bytes:
    """A ModelProto, opset 17. A size that is a text is dynamic."""
    graph = b"".join(_bytes(1, each) for each in nodes) + _bytes(2, "graph")
    graph += b"".join(_bytes(5, each) for each in initializers)
    for name, shape in inputs.items():
        graph += _bytes(11, _value(name, shape))
    for name in outputs:
        graph += _bytes(12, _bytes(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT))))
    opset = _bytes(1, "") + _number(2, 17)
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, opset)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(
        _bytes(1, _bytes(2, size) if isinstance(size, str) else _number(1, size)) for size in shape
    )
    tensor = _number(1, FLOAT) + _bytes(2, sizes)
    return _bytes(1, name) + _bytes(2, _bytes(1, tensor))


def detector(
    *,
    blocks: int = 4,
    channels: int = 16,
    batch: int | str = "batch",
    more: Sequence[bytes] = (),
    output: str | None = None,
) -> bytes:
    """Convolutions with SiLU as in a YOLO, 3x64x64 images in; `more` nodes come after them."""
    nodes, initializers = [], []
    at, depth = "images", 3
    for number in range(blocks):
        stride = 2 if number < 3 else 1
        initializers.append(weights(f"w{number}", (channels, depth, 3, 3), seed=number))
        nodes += [
            node(
                "Conv",
                [at, f"w{number}"],
                f"c{number}",
                name=f"/model.{number}/conv/Conv",
                kernel_shape=[3, 3],
                pads=[1, 1, 1, 1],
                strides=[stride, stride],
            ),
            node("Sigmoid", [f"c{number}"], f"s{number}", name=f"/model.{number}/act/Sigmoid"),
            node("Mul", [f"c{number}", f"s{number}"], f"m{number}", name=f"/model.{number}/Mul"),
        ]
        at, depth = f"m{number}", channels
    shape = [batch, 3, 64, 64]
    return model([*nodes, *more], initializers, inputs={"images": shape}, outputs=[output or at])


def unsupported() -> bytes:
    """The last node's operator is one that nobody has."""
    return detector(
        more=[node("FrobnicateNMS", ["m3"], "boxes", name="/model.22/nms")], output="boxes"
    )


def wrong_shape() -> bytes:
    """The last node joins what does not fit together."""
    return detector(
        more=[node("Concat", ["m3", "m0"], "joined", name="/model.12/Concat", axis=1)],
        output="joined",
    )


def with_external_data(folder: Path, *, data_bytes: int) -> Path:
    """A model in `folder` whose one matrix lies beside it, in weights.bin, sparse on disk."""
    rows = data_bytes // 4 // 1024
    (folder / "weights.bin").touch()
    with (folder / "weights.bin").open("r+b") as file:
        file.truncate(rows * 1024 * 4)
    path = folder / "model.onnx"
    path.write_bytes(
        model(
            [node("MatMul", ["x", "w"], "y", name="/head/MatMul")],
            [external_weights("w", (rows, 1024), "weights.bin")],
            inputs={"x": ["batch", rows]},
            outputs=["y"],
        )
    )
    return path
