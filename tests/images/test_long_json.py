"""Long lists of numbers are read and written in parts, as if they were whole."""

from __future__ import annotations

import contextlib
import json
import math
import random
from typing import Any

import numpy as np
import pytest

from images.detector.server import long_json

NUMBERS = [float(each) for each in np.linspace(-1, 1, 60_000, dtype=np.float32)]


def words(data: str, **more: object) -> bytes:
    """A request whose data are this text; what is `more` comes before and behind."""
    tensor = '{"name": "images", "data": ' + data + ', "shape": [60000]}'
    return (json.dumps({"id": '"data": [1]', **more})[:-1] + f', "inputs": [{tensor}]}}').encode()


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what json.loads is given."""
    given: list[int] = []
    whole = json.loads

    def loads(text: bytes) -> Any:
        given.append(len(text))
        return whole(text)

    monkeypatch.setattr(json, "loads", loads)
    return given


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":"), (" ,\n", ": ")])
@pytest.mark.parametrize("shape", [[60_000], [2, 3, 100, 100], [60_000, 1]])
def test_a_long_list_is_read_in_parts(
    pieces: list[int], separators: tuple[str, str], shape: list[int]
) -> None:
    values = np.array(NUMBERS, np.float32)
    said = words(json.dumps(values.reshape(shape).tolist(), separators=separators))
    asked = long_json.loads(said)
    assert max(pieces) < long_json.PART_BYTES < len(said)
    data = asked["inputs"][0]["data"]
    assert np.array_equal(data.read(shape), values)
    assert max(pieces) < 2 * long_json.PART_BYTES
    assert (data.count, asked["id"]) == (60_000, '"data": [1]')
    assert asked["inputs"][0]["shape"] == [60000]


@pytest.mark.parametrize("odd", ["", "x", "1 2", "[1]", '"a"', "{}", "null", "01", "]", "true"])
def test_what_is_odd_in_it_is_as_odd_as_in_a_whole(
    odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_json, "PART_BYTES", 128)
    for where in range(100):
        texts = [repr(each) for each in NUMBERS[:100]]
        texts[where] = odd
        same_as_in_a_whole(f"[{','.join(texts)}]", [100])


def test_nested_lists_are_as_odd_as_in_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some bytes of the text are others, are missing, or are there twice."""
    monkeypatch.setattr(long_json, "PART_BYTES", 128)
    chance = random.Random(1)
    shape = [2, 3, 2, 4]
    whole = json.dumps(np.arange(48).reshape(shape).tolist()).encode()
    same = 0
    for _ in range(3000):
        text = bytearray(whole)
        for _ in range(chance.choice((0, 1, 1, 2))):
            where = chance.randrange(1, len(text) - 1)
            put = chance.choice((b"", b"[", b"]", b",", b"7", b" ", b"][", b"],[", b"null", b"-"))
            text[where : where + chance.randrange(3)] = put
        same += same_as_in_a_whole(text.decode(), shape)
    assert 1000 < same < 2500


def same_as_in_a_whole(data: str, shape: list[int]) -> bool:
    """Whether it was understood, which it is if it would be at once, and is as `shape` says."""
    said = words(data)
    assert len(said) > long_json.PART_BYTES
    wanted = None
    with contextlib.suppress(ValueError, TypeError):
        wanted = np.array(json.loads(said)["inputs"][0]["data"], np.float32)
    if wanted is None or wanted.shape not in (tuple(shape), (math.prod(shape),)):
        with pytest.raises((ValueError, TypeError, long_json.TooLongError)):
            numbers(said, shape)
        return False
    assert np.array_equal(numbers(said, shape), wanted.ravel(), equal_nan=True)
    return True


def numbers(said: bytes, shape: list[int]) -> Any:
    data = long_json.loads(said)["inputs"][0]["data"]
    if data.count != math.prod(shape):
        raise ValueError
    return data.read(shape)


@pytest.mark.parametrize(
    "said",
    [
        words("[1, 2]", parameters={"data": NUMBERS}),
        words(json.dumps([str(each) for each in NUMBERS])),
        words(json.dumps([{"a": NUMBERS}])),
        b'{"a": "data"}' + b" " * 300_000,
        b'{"data": [' + b"1, " * 100_000,
        b"[" * 300_000,
    ],
)
def test_what_is_long_and_no_list_of_numbers_is_refused(pieces: list[int], said: bytes) -> None:
    with pytest.raises((ValueError, long_json.TooLongError)):
        long_json.loads(said)
    assert sum(pieces) < long_json.PART_BYTES


def test_numbers_are_written_as_they_would_be_at_once() -> None:
    values = np.array(NUMBERS, np.float32).reshape(2, -1)
    assert json.loads(long_json.dumps(values)) == NUMBERS
    assert long_json.dumps(np.array([1, np.nan, np.inf], np.float32)) == "[1.0, null, null]"
    assert long_json.dumps(np.zeros((0, 3), np.float32)) == "[]"
