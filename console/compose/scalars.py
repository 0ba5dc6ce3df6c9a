"""What a plain scalar of YAML is, by the core schema that Compose's parser follows, and texts that
stand for sizes, times and numbers. Pure.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Literal

Kind = Literal["null", "boolean", "integer", "number", "text"]

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
# At most so many digits: longer ones are texts that happen to have only digits.
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]{1,16}|0o?[0-7]{1,21}|[1-9][0-9_]{0,18}|0)")
_NUMBER = re.compile(
    r"[-+]?(?:\.[0-9]{1,40}|[0-9]{1,40}(?:\.[0-9]{0,40})?)(?:[eE][-+]?[0-9]{1,3})?"
)
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_STEP = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)")


def kind(text: str) -> Kind:
    """What `text` is where it is written without quotes."""
    if text in _NULL:
        return "null"
    if text in _TRUE or text in _FALSE:
        return "boolean"
    if _INTEGER.fullmatch(text):
        return "integer"
    if _SPECIAL.fullmatch(text) or (_NUMBER.fullmatch(text) and math.isfinite(float(text))):
        return "number"
    return "text"


def as_compose_writes(text: str) -> str:
    """A plain scalar as Compose passes it on as a string: 1.10 is "1.1", True is "true"."""
    what = kind(text)
    if what == "boolean":
        return text.lower()
    if what == "integer":
        return str(_integer(text))
    if what == "number" and _NUMBER.fullmatch(text):
        return _number(float(text))
    return text


def truth(text: str) -> bool | None:
    """True or False as Compose takes them, also from a text; None: neither."""
    word = text.lower()
    if word in {"true", "yes", "y", "on"}:
        return True
    return False if word in {"false", "no", "n", "off"} else None


def size_bytes(text: str) -> int | None:
    """Bytes of "2gb", "512m", "1.5G", "64MiB", "4096"; each unit is 1024 of the one before it."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    return int(Decimal(match[1]) * 1024 ** _POWERS[(match[2] or "").lower()])


def duration(text: str) -> float | None:
    """Seconds of "1m30s", "1.5h", "200ms", "0"."""
    if text == "0":
        return 0.0
    at, total = 0, 0.0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            return None
        total += float(match[1]) * _SECONDS[match[2]]
        at = match.end()
    return round(total, 9) if text else None


def _integer(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower().replace("_", "")
    if digits.startswith("0x"):
        return sign * int(digits, 0)
    if digits.startswith("0") and digits != "0":
        return sign * int(digits.removeprefix("0").removeprefix("o") or "0", 8)
    return sign * int(digits)


def _number(value: float) -> str:
    """The shortest text that reads as the same number, with an exponent from 1e21 on."""
    if value == 0:
        return "0" if str(value)[0] != "-" else "-0"
    exponent = Decimal(value).adjusted()
    if -4 <= exponent < 21:
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, _, power = repr(value).partition("e")
    if not power:
        mantissa, _, power = f"{Decimal(repr(value)).normalize():e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{'-' if power.startswith('-') else '+'}{power.lstrip('+-').zfill(2)}"
