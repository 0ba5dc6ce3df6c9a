"""Nothing that came from elsewhere reaches the terminal raw."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.text import age, clean, clean_output, plural, size

EVERY_CHARACTER = st.text(
    st.characters(min_codepoint=0, max_codepoint=0xFFFF, exclude_categories=())
)


@given(EVERY_CHARACTER)
def test_cleaned_text_has_no_control_characters(text: str) -> None:
    for cleaned in (clean(text), clean_output(text).replace("\t", "")):
        assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in cleaned)
        assert not any(
            c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" for c in cleaned
        )


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert clean_output(text) == text


@pytest.mark.parametrize(
    ("text", "spelled", "output"),
    [
        ("a\x1b[31mred\x1b[0m", "a\\x1b[31mred\\x1b[0m", "ared"),
        ("x\x1b]0;title\x07y", "x\\x1b]0;title\\x07y", "xy"),
        ("x\x1b]52;c;cGF5\x1b\\y", "x\\x1b]52;c;cGF5\\x1b\\y", "xy"),
        ("\x9b2Jgone", "\\x9b2Jgone", "gone"),
        ("evil\u202eexe", "evil\\u202eexe", "evil\\u202eexe"),
        ("a\tb\nc", "a\\x09b\\x0ac", "a\tb\\x0ac"),
        ("50%\r60%\r", "50%\\x0d60%\\x0d", "50% 60%"),
        ("\x1bcreset", "\\x1bcreset", "reset"),
        ("日本 naïve", "日本 naïve", "日本 naïve"),
    ],
)
def test_escape_codes_never_survive(text: str, spelled: str, output: str) -> None:
    assert clean(text) == spelled
    assert clean_output(text) == output


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (-3, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (1e6, "11d")],
)
def test_age(seconds: float | None, shown: str) -> None:
    assert age(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (16 * 2**30, "16 GiB"),
        (int(9.97 * 2**30), "10 GiB"),
        (1023 * 2**20, "1023 MiB"),
        (2**30 - 1, "1.0 GiB"),
        (5 * 2**50, "5120 TiB"),
    ],
)
def test_size(count: float | None, shown: str) -> None:
    assert size(count) == shown


def test_plural() -> None:
    assert [plural(0, "node"), plural(1, "node"), plural(2, "node")] == [
        "0 nodes",
        "1 node",
        "2 nodes",
    ]
