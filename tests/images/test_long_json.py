"""Long lists of numbers are read and written in parts, as if they were whole."""

from __future__ import annotations

import json
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
def test_a_long_list_is_read_in_parts(pieces: list[int], separators: tuple[str, str]) -> None:
    said = words(json.dumps(NUMBERS, separators=separators))
    asked = long_json.loads(said)
    assert max(pieces) < 2 * long_json.PART_BYTES < len(said)
    assert asked["id"] == '"data": [1]'
    assert asked["inputs"][0]["data"].tolist() == NUMBERS
    assert asked["inputs"][0]["shape"] == [60000]


@pytest.mark.parametrize("odd", ["", "x", "1 2", "[1]", '"a"', "{}", "null", "01", "]", "true"])
def test_what_is_odd_in_it_is_as_odd_as_in_a_whole(
    odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_json, "PART_BYTES", 64)
    for where in range(100):
        texts = [repr(each) for each in NUMBERS[:100]]
        texts[where] = odd
        said = words(f"[{','.join(texts)}]")
        try:
            wanted = json.loads(said)["inputs"][0]["data"]
        except json.JSONDecodeError:
            with pytest.raises(ValueError, match=r"number is missing|Expecting|Extra data"):
                long_json.loads(said)
            continue
        got = long_json.loads(said)["inputs"][0]["data"]
        if isinstance(got, np.ndarray):
            assert odd in ("null", "true")
            assert np.array_equal(got, np.array(wanted, np.float32), equal_nan=True)
        else:
            assert got == wanted


def test_a_list_that_is_another_one_stays(pieces: list[int]) -> None:
    said = words("[1, 2]", parameters={"data": NUMBERS})
    asked = long_json.loads(said)
    assert asked["parameters"]["data"] == NUMBERS
    assert asked["inputs"][0]["data"] == [1, 2]
    assert long_json.loads(b'{"a": "data"}' + b" " * 300_000) == {"a": "data"}
    nested = words(json.dumps([NUMBERS[:30_000], NUMBERS[30_000:]]))
    assert long_json.loads(nested)["inputs"][0]["data"][1][-1] == 1.0


def test_numbers_are_written_as_they_would_be_at_once() -> None:
    values = np.array(NUMBERS, np.float32).reshape(2, -1)
    assert json.loads(long_json.dumps(values)) == NUMBERS
    assert long_json.dumps(np.array([1, np.nan, np.inf], np.float32)) == "[1.0, null, null]"
    assert long_json.dumps(np.zeros((0, 3), np.float32)) == "[]"
