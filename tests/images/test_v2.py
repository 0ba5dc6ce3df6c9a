"""KServe's V2 protocol, as far as bytes go."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from images.detector.server.backend import Shape
from images.detector.server.problems import RequestError
from images.detector.server.v2 import HEADER_LENGTH, read, written

SHAPE = Shape("images", (None, 3, 2, 2), "output0", (None, 7, 4))
ANY = Shape("images", (None, None, None, None), "output0", (None, 7, 4))
VALUES = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)


def request(**changed: object) -> dict[str, object]:
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, 3, 2, 2], "data": list(range(12))}
    return {"inputs": [tensor | changed]}


def binary(length: int, data: bytes, **changed: object) -> tuple[bytes, str]:
    said = {"parameters": {"binary_data_size": length}, **changed}
    head = json.dumps(request(**said)).encode()
    return head + data, str(len(head))


def test_json_and_binary_are_the_same_images() -> None:
    in_json = read(json.dumps(request()).encode(), None, SHAPE)
    body, length = binary(48, VALUES.tobytes())
    in_binary = read(body, length, SHAPE)
    for asked in (in_json, in_binary):
        assert isinstance(asked.images, np.ndarray)
        assert np.array_equal(asked.images, VALUES)
        assert asked.images.dtype == np.float32


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff", "request.json"),
        (b"[" * 100_000, "request.json"),
        (b'{"inputs": {}}', "input.count"),
        (json.dumps(request(name="other")).encode(), "input.name"),
        (json.dumps(request(datatype="INT8")).encode(), "input.datatype"),
        (json.dumps(request(shape="all")).encode(), "input.shape"),
        (json.dumps(request(shape=[1, -3, 2, 2])).encode(), "input.shape"),
        (json.dumps(request(shape=[1, True, 2, 2])).encode(), "input.shape"),
        (json.dumps(request(shape=[2**31 - 1] * 8)).encode(), "input.shape"),
        (json.dumps(request(shape=[2**31 - 1, 3, 2, 2])).encode(), "input.size"),
        (json.dumps(request(data=["a"])).encode(), "input.data"),
        (json.dumps(request(data=[[1], [1, 2]])).encode(), "input.data"),
        (json.dumps(request(data=None)).encode(), "input.size"),
        (json.dumps(request() | {"outputs": [{"name": "x"}]}).encode(), "output.name"),
        (json.dumps(request() | {"outputs": "output0"}).encode(), "output.name"),
        (
            json.dumps(
                request() | {"outputs": [{"name": "output0", "parameters": {"classification": 2}}]}
            ).encode(),
            "output.classification",
        ),
    ],
)
def test_what_is_wrong_is_told(body: bytes, code: str) -> None:
    with pytest.raises(RequestError) as raised:
        read(body, None, SHAPE)
    assert (raised.value.status, raised.value.code) == (400, code)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("length", "data"), [(48, bytes(47)), (48, bytes(49)), (44, bytes(44)), (-1, b""), (48, b"")]
)
def test_bytes_that_do_not_fit_are_told(length: int, data: bytes) -> None:
    body, head = binary(length, data)
    with pytest.raises(RequestError) as raised:
        read(body, head, SHAPE)
    assert raised.value.code == "input.size"


@pytest.mark.parametrize("length", ["", "x", "-1", "99999", "1e3", "9" * 5000])
def test_a_length_of_the_head_that_is_none(length: str) -> None:
    with pytest.raises(RequestError) as raised:
        read(b"{}", length, SHAPE)
    assert raised.value.code == "request.header_length"


def test_long_lists_are_the_same_images_flat_and_nested() -> None:
    values = np.random.default_rng(1).random((50, 3, 20, 20), np.float32)
    for data in (values.tolist(), values.ravel().tolist()):
        asked = read(json.dumps(request(shape=values.shape, data=data)).encode(), None, ANY)
        assert isinstance(asked.images, np.ndarray)
        assert np.array_equal(asked.images, values)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"data": [0.5] * 99_999}, "input.size"),
        ({"data": [[0.5] * 50_000] * 2}, "input.data"),
        ({"data": [0.5] * 100_000, "shape": [100_000, 1, 1, 1, 1]}, "input.shape"),
        ({"data": [0.5] * 99_999 + ["a"]}, "request.json_too_large"),
        ({"data": [1], "more": [0.5] * 100_000}, "request.json_too_large"),
        ({"data": ["a"] * 100_000}, "request.json_too_large"),
    ],
)
def test_what_is_wrong_in_a_long_one_is_told(changed: dict[str, object], code: str) -> None:
    with pytest.raises(RequestError) as raised:
        read(json.dumps(request(**{"shape": [1, 1, 10, 10_000], **changed})).encode(), None, ANY)
    assert raised.value.code == code
    assert raised.value.status == (413 if code == "request.json_too_large" else 400)


@given(some.recursive(some.none() | some.integers() | some.text(), some.lists), some.text())
def test_whatever_comes_is_told(value: object, key: str) -> None:
    for asked in ({"inputs": value}, request(shape=value), request(data=value), {key: value}):
        with contextlib.suppress(RequestError):
            read(json.dumps(asked).encode(), None, SHAPE)


def test_images_lie_in_the_body_where_that_is_aligned() -> None:
    body, length = binary(48, VALUES.tobytes())
    for shift in range(5):
        room = np.zeros(len(body) + 8, np.uint8)
        start = (-(room.ctypes.data + int(length)) % 4) + shift
        room[start : start + len(body)] = np.frombuffer(body, np.uint8)
        whole = room.data[start : start + len(body)]
        images = read(whole, length, SHAPE).images
        assert isinstance(images, np.ndarray)
        assert np.array_equal(images, VALUES)
        assert images.flags.aligned
        assert np.shares_memory(images, room) == (shift % 4 == 0)


def test_answers_in_json_and_in_binary() -> None:
    made = np.array([[[1.5, np.nan]]], np.float32)
    asked = read(json.dumps(request() | {"id": "7"}).encode(), None, SHAPE)
    said = written(made, asked, model="detector", version="1", output="output0")
    (output,) = json.loads(said.head)["outputs"]
    assert output["data"] == [1.5, None]
    assert json.loads(said.head)["id"] == "7"
    assert HEADER_LENGTH not in said.headers
    assert not said.data
    wanted = request() | {"parameters": {"binary_data_output": True}}
    asked = read(json.dumps(wanted).encode(), None, SHAPE)
    said = written(made, asked, model="detector", version="1", output="output0")
    assert said.headers[HEADER_LENGTH] == str(len(said.head))
    (output,) = json.loads(said.head)["outputs"]
    assert output["parameters"] == {"binary_data_size": 8}
    assert bytes(said.data) == made.tobytes()
