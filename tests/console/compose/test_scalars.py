"""Plain scalars as Compose writes them, sizes and durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.compose.scalars import as_compose_writes, duration, kind, size_bytes, truth


@pytest.mark.parametrize(
    ("text", "what", "written"),
    [
        ("a", "text", "a"),
        ("", "null", ""),
        ("~", "null", "~"),
        ("Null", "null", "Null"),
        ("nuLL", "text", "nuLL"),
        ("True", "boolean", "true"),
        ("FALSE", "boolean", "false"),
        ("yes", "text", "yes"),  # YAML 1.1 called these true and false
        ("off", "text", "off"),
        ("22:22", "text", "22:22"),  # and this 1342
        ("0", "integer", "0"),
        ("-7", "integer", "-7"),
        ("+7", "integer", "7"),
        ("010", "integer", "8"),
        ("0o17", "integer", "15"),
        ("0x1F", "integer", "31"),
        ("1_000", "integer", "1000"),
        ("08", "number", "8"),
        ("1.10", "number", "1.1"),
        ("1.0", "number", "1"),
        ("1e3", "number", "1000"),
        ("1e21", "number", "1e+21"),
        ("12345678901234567890123", "number", "1.2345678901234568e+22"),
        ("1e-7", "number", "1e-07"),
        ("0.0001", "number", "0.0001"),
        ("1e999", "text", "1e999"),
        (".inf", "number", ".inf"),
        ("1.2.3", "text", "1.2.3"),
        ("2001-01-01", "text", "2001-01-01"),
    ],
)
def test_plain(text: str, what: str, written: str) -> None:
    assert kind(text) == what
    assert as_compose_writes(text) == written


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("65536", 65536),
        ("2b", 2),
        ("1k", 1024),
        ("1kb", 1024),
        ("512m", 512 << 20),
        ("64MiB", 64 << 20),
        ("1.5G", 3 << 29),
        ("10 MB", 10 << 20),
        ("2tb", 2 << 40),
        ("", None),
        ("m", None),
        ("-1", None),
        ("1x", None),
        ("1,5g", None),
        ("1e3", None),
    ],
)
def test_size(text: str, count: int | None) -> None:
    assert size_bytes(text) == count


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90s", 90),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("2h45m10s200ms", 9910.2),
        ("10us", 1e-5),
        ("", None),
        ("10", None),
        ("1 m", None),
        ("-1s", None),
        ("1d", None),
        ("s", None),
    ],
)
def test_duration(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds


def test_truth() -> None:
    assert [truth(word) for word in ("true", "Yes", "on", "no", "False", "1", "")] == [
        *(True, True, True, False, False, None, None)
    ]


@given(st.text(alphabet="+-_.0123456789abcdefexoinfINFTrueNul~:", max_size=24))
def test_any_text_is_something(text: str) -> None:
    assert kind(text) in ("null", "boolean", "integer", "number", "text")
    assert isinstance(as_compose_writes(text), str)
    size_bytes(text)
    duration(text)
