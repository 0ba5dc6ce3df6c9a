"""Points in time, as people and runtimes write them, without losing nanoseconds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from agent.protocol.problems import ProblemError

NANOSECONDS = 1_000_000_000
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_UNIT_NANOSECONDS = {
    "ms": NANOSECONDS // 1000,
    "s": NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "h": 3600 * NANOSECONDS,
    "d": 86400 * NANOSECONDS,
}
_UNIX = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_moment(text: str, *, now: float) -> int:
    """Nanoseconds since 1970 of RFC 3339, Unix seconds, or an age such as "15m" or "1h30m".

    Raises:
        ProblemError: `request.invalid`.
    """
    text = text.strip()
    if _DURATION.fullmatch(text):
        parts = _DURATION_PART.findall(text)
        age = sum(int(float(number) * _UNIT_NANOSECONDS[unit]) for number, unit in parts)
        return max(0, int(now * NANOSECONDS) - age)
    if unix := _UNIX.fullmatch(text):
        return int(unix[1]) * NANOSECONDS + _fraction(unix[2])
    moment = rfc3339_nanoseconds(text)
    if moment is None:
        raise ProblemError(
            "request.invalid",
            f"{text[:60]!r} is not a point in time",
            params={"value": text[:60]},
            hint='Write it as "2026-01-31T08:00:00Z", as Unix seconds, or as an age: "15m".',
        )
    return moment


def rfc3339_nanoseconds(text: str) -> int | None:
    """Nanoseconds since 1970; None where the text is not RFC 3339 or before 1970."""
    found = _RFC3339.fullmatch(text)
    if not found:
        return None
    offset = "+00:00" if found[4] in "Zz" else found[4]
    try:
        whole = datetime.fromisoformat(f"{found[1]}T{found[2]}{offset}")
    except ValueError:
        return None
    seconds = (whole - _EPOCH) // timedelta(seconds=1)
    return seconds * NANOSECONDS + _fraction(found[3]) if seconds >= 0 else None


def unix_text(nanoseconds: int) -> str:
    """As Docker's API takes it: seconds, a dot, nine digits."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    return f"{seconds}.{rest:09d}"


def rfc3339_text(nanoseconds: int) -> str:
    """As RFC 3339 in UTC with nine digits. Podman reads Unix seconds as a float, this exactly."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    whole = _EPOCH + timedelta(seconds=seconds)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def unix_seconds(text: str | None) -> float | None:
    """A time of an inspect answer; None where it never was (the year 1)."""
    moment = rfc3339_nanoseconds(text) if text else None
    return None if moment is None else moment / NANOSECONDS


def _fraction(digits: str | None) -> int:
    return int(digits.ljust(9, "0")) if digits else 0
