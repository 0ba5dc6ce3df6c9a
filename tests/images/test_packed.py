"""Bodies that came packed."""

from __future__ import annotations

import gzip
import zlib

import pytest

from images.detector.server.packed import unpacked
from images.detector.server.problems import RequestError

DATA = bytes(range(256)) * 100
LIMIT = len(DATA)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(DATA)),
        ("x-gzip", gzip.compress(DATA)),
        ("deflate", zlib.compress(DATA)),
    ],
)
def test_it_is_what_it_was(encoding: str, body: bytes) -> None:
    assert unpacked(memoryview(body), encoding, LIMIT) == DATA


@pytest.mark.parametrize(
    ("encoding", "body", "status", "code"),
    [
        ("br", DATA, 415, "request.encoding"),
        ("gzip, gzip", gzip.compress(DATA), 415, "request.encoding"),
        ("gzip", DATA, 400, "request.encoding"),
        ("gzip", b"", 400, "request.encoding"),
        ("gzip", gzip.compress(DATA)[:-1], 400, "request.encoding"),
        ("gzip", gzip.compress(DATA) + b"x", 400, "request.encoding"),
        ("gzip", gzip.compress(DATA + b"x"), 413, "request.too_large"),
        ("deflate", zlib.compress(bytes(200_000_000)), 413, "request.too_large"),
    ],
)
def test_what_is_wrong_is_told(encoding: str, body: bytes, status: int, code: str) -> None:
    with pytest.raises(RequestError) as raised:
        unpacked(body, encoding, LIMIT)
    assert (raised.value.status, raised.value.code) == (status, code)
