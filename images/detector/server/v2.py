"""KServe's V2 protocol: requests and answers in JSON, and with its binary extension.

Fields have the names of the Open Inference Protocol; of types only FP32, the model's own, is taken.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np

from . import long_json
from .backend import Floats, Shape
from .problems import RequestError, bad
from .shared_memory import Place, place

HEADER_LENGTH = "inference-header-content-length"
_TYPE = "FP32"


@dataclass(frozen=True)
class Asked:
    """A request that was understood."""

    images: Floats | Lying
    id: str | None
    binary: bool  # how the answer is wanted
    into: Place | None  # where to the output is written, instead of into the answer


@dataclass(frozen=True)
class Lying:
    """Images that are not in the request."""

    place: Place
    sizes: tuple[int, ...]

    def images(self, data: memoryview) -> Floats:
        """What was read there, as it lies."""
        return _floats(data, self.sizes)


def head_length(said: str) -> int | None:
    """Where the tensors begin in the body; None: it is no length."""
    return int(said) if said.isdecimal() and len(said) < 10 else None


def read(body: bytes | memoryview, header_length: str | None, shape: Shape) -> Asked:
    """The images lie in the body still, where that is aligned.

    Raises:
        RequestError: 400, with what is wrong; 413, it is long, and no list of numbers is why.
    """
    whole = memoryview(body)
    if header_length is None:
        words, rest = whole, whole[:0]
    else:
        length = head_length(header_length)
        if length is None or length > len(whole):
            raise bad(
                "request.header_length",
                f"Inference-Header-Content-Length is {header_length[:40]!r}, of {len(whole)} bytes",
                "It is the length of the JSON at the body's begin.",
            )
        words, rest = whole[:length], whole[length:]
    try:
        asked = long_json.loads(bytes(words))
    except long_json.TooLongError:
        raise RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "request.json_too_large",
            f"the JSON is longer than {long_json.PART_BYTES} bytes beside the numbers in"
            " inputs[0].data",
            "Send one input, with numbers alone for its data.",
        ) from None
    except (ValueError, RecursionError):
        raise bad("request.json", "the request is no JSON", "Is it cut off?") from None
    tensors = asked.get("inputs") if isinstance(asked, dict) else None
    if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], dict):
        raise bad(
            "input.count",
            "the model has one input, the request has another number",
            f"Send `inputs` with {shape.input_name} alone.",
        )
    tensor = tensors[0]
    if tensor.get("name") != shape.input_name:
        raise bad(
            "input.name",
            f"there is no input {str(tensor.get('name'))[:80]!r}",
            f"The model's is {shape.input_name}.",
        )
    if tensor.get("datatype") != _TYPE:
        raise bad(
            "input.datatype",
            f"the input is {str(tensor.get('datatype'))[:40]}, the model takes {_TYPE}",
            "Convert it before.",
        )
    name = asked.get("id")
    return Asked(
        _values(tensor, rest, shape),
        name if isinstance(name, str) else None,
        *_output(asked, shape.output_name),
    )


def _values(tensor: dict[str, Any], rest: memoryview, shape: Shape) -> Floats | Lying:
    sizes = tensor.get("shape")
    if (
        not isinstance(sizes, list)
        or not 1 <= len(sizes) <= 8
        or not all(isinstance(size, int) and 0 < size < 2**31 for size in sizes)
    ):
        raise bad("input.shape", f"the shape is {str(sizes)[:80]}", "Send a list of sizes.")
    check(sizes, shape)  # before the numbers are read: sizes of many 1 make many lists
    count = math.prod(sizes)
    parameters = tensor.get("parameters")
    lying = place(parameters)
    if lying is not None:
        if rest or lying.size != 4 * count:
            raise bad(
                "input.size",
                f"{sizes} of {_TYPE} are {4 * count} bytes; shared_memory_byte_size is"
                f" {lying.size}, and {len(rest)} came beside it",
                "Is all of it in shared memory?",
            )
        return Lying(lying, tuple(sizes))
    length = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if length is not None:
        if length != len(rest) or length != 4 * count:
            raise bad(
                "input.size",
                f"{sizes} of {_TYPE} are {4 * count} bytes; binary_data_size is {length}, and"
                f" {len(rest)} came",
                "Was it sent whole?",
            )
        return _floats(rest, sizes)
    data = tensor.get("data")
    try:
        if isinstance(data, long_json.Numbers):
            came = data.count
            values = data.read(sizes) if came == count else np.empty(0, np.float32)
        else:
            values = np.array(data, np.float32).ravel()
            came = values.size
    except (ValueError, TypeError, OverflowError):
        raise bad(
            "input.data",
            "the data are not all numbers, or otherwise nested than the shape says",
            "Send a list of numbers.",
        ) from None
    if came != count:
        raise bad("input.size", f"{sizes} are {count} values, {came} came", "Was it sent whole?")
    return values.reshape(sizes)


def check(sizes: Sequence[int], shape: Shape) -> None:
    """Raises RequestError: 400, the model does not take images of these sizes."""
    if shape.takes(tuple(sizes)):
        return
    shown = [-1, *(-1 if size is None else size for size in shape.input[1:])]
    bounds = ""
    if shape.smallest is not None and shape.largest is not None:
        bounds = f", from {list(shape.smallest[1:])} to {list(shape.largest[1:])} each"
    raise bad(
        "input.shape",
        f"the input has the shape {list(sizes)}, the model takes {shown}{bounds}",
        "-1 stands for any size, within the bounds where there are some.",
    )


def _floats(data: memoryview, sizes: Sequence[int]) -> Floats:
    lying = np.frombuffer(data, "<f4").reshape(sizes).astype(np.float32, copy=False)
    return np.require(lying, requirements="A")


def _output(asked: dict[str, Any], output: str) -> tuple[bool, Place | None]:
    """Whether it is wanted binary, and where. Raises RequestError: 400, there is no such output."""
    into: Place | None = None
    parameters = asked.get("parameters")
    wanted = parameters.get("binary_data_output") if isinstance(parameters, dict) else None
    outputs = asked.get("outputs")
    if outputs is not None and not isinstance(outputs, list):
        raise bad("output.name", "`outputs` is no list", f"Leave it out, or name {output} in it.")
    for each in outputs or []:
        if not isinstance(each, dict) or each.get("name") != output:
            raise bad("output.name", "there is no such output", f"The model's is {output}.")
        own = each.get("parameters")
        if not isinstance(own, dict):
            continue
        if "classification" in own:
            raise bad(
                "output.classification",
                "a detector's output is boxes: it has no classes to be put in order",
                "Leave `classification` out (class_count of a client), or ask /v1/detect.",
            )
        wanted = own.get("binary_data", wanted)
        into = place(own)
    return wanted is True, into


@dataclass(frozen=True)
class Written:
    """An answer. `data` is the output as it lies in memory, of a binary one; else nothing."""

    head: bytes
    data: memoryview
    headers: dict[str, str]


def written(made: Floats, asked: Asked, *, model: str, version: str, output: str) -> Written:
    """What is answered."""
    tensor: dict[str, Any] = {"name": output, "datatype": _TYPE, "shape": list(made.shape)}
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if asked.id is not None:
        answer["id"] = asked.id
    answer["outputs"] = [tensor]
    if asked.into is not None:
        tensor["parameters"] = {
            "shared_memory_region": asked.into.region,
            "shared_memory_offset": asked.into.offset,
            "shared_memory_byte_size": made.nbytes,
        }
        said = json.dumps(answer).encode()
        return Written(said, memoryview(b""), {"content-type": "application/json"})
    if not asked.binary:
        tensor["data"] = []
        around = json.dumps(answer).removesuffix("[]}]}")
        head = f"{around}{long_json.dumps(made)}}}]}}".encode()
        return Written(head, memoryview(b""), {"content-type": "application/json"})
    data = lying_bytes(made)
    tensor["parameters"] = {"binary_data_size": data.nbytes}
    head = json.dumps(answer).encode()
    return Written(
        head,
        data,
        {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))},
    )


def lying_bytes(made: Floats) -> memoryview:
    """As V2 has tensors: little-endian, one after the other."""
    return np.ascontiguousarray(made, "<f4").reshape(-1).view(np.uint8).data


def metadata(shape: Shape, *, model: str, version: str, platform: str) -> dict[str, Any]:
    """What /v2/models/NAME answers."""

    def tensor(name: str, sizes: tuple[int | None, ...]) -> dict[str, Any]:
        shown = [-1, *(-1 if size is None else size for size in sizes[1:])]
        return {"name": name, "datatype": _TYPE, "shape": shown}

    return {
        "name": model,
        "versions": [version],
        "platform": platform,
        "inputs": [tensor(shape.input_name, shape.input)],
        "outputs": [tensor(shape.output_name, shape.output)],
    }


def unknown_model(name: str) -> RequestError:
    """404."""
    return RequestError(
        HTTPStatus.NOT_FOUND, "model.not_found", f"there is no model {name[:80]!r}", "See /v2."
    )
