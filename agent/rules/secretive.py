"""What looks like a secret in texts that go out, and those texts without it. Pure.

It goes by names and forms, so it takes away too much rather than too little. A password that
stands somewhere without a name is not found.
"""

from __future__ import annotations

import re
from typing import Any

REMOVED = "<removed>"
_NAME = (
    "(?:pass(?:word|wd|phrase)?|pwd|secret|token|credential|auth|(?:api|access|private)[_-]?key)"
)
_REST = r"[\w-]{0,64}"  # bounded: a text may be a megabyte without a space
_VALUE = r"\"[^\"]*\"|'[^']*'"
# Has something that is called so: "DB_PASSWORD", "--auth-token", "x-api-key".
SECRETIVE = re.compile(_NAME, re.IGNORECASE)
# Whose values are all taken away: an environment's names alone are told.
_ENVIRONMENTS = frozenset({"environment", "env"})
# Fields of Roost's own that are called so and tell none: names of secrets, codes, counts.
_OWN = frozenset({"secrets", "token_file", "tokens", "secret_names"})
_OPTION = re.compile(rf"--?{_REST}{_NAME}{_REST}", re.IGNORECASE)
_FORMS = (
    # A private key, whole, or up to where the text ends.
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)",
            re.DOTALL,
        ),
        REMOVED,
    ),
    # A user's password in an address.
    (re.compile(r"(?<=://)[^/\s@\"']{0,256}:[^/\s@\"']{1,256}(?=@)"), REMOVED),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {REMOVED}"),
    # Roost's own tokens.
    (re.compile(r"\broost_[\w-]{43}(?![\w-])"), REMOVED),
    (
        re.compile(rf"((?<![\w-])--?{_REST}{_NAME}{_REST}\s+)(?!-)({_VALUE}|\S+)", re.IGNORECASE),
        rf"\1{REMOVED}",
    ),
    (
        re.compile(rf"({_NAME}{_REST}[\"']?\s*[=:]\s*)({_VALUE}|[^\s,;\"'}}\]]+)", re.IGNORECASE),
        rf"\1{REMOVED}",
    ),
)


def without_secrets(text: str) -> str:
    """A text without what looks like a secret in it."""
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return text


def plain_without_secrets(value: Any) -> Any:
    """The same for a decoded JSON document: also by the names of its fields."""
    return _without(value)


def _without(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        if key.lower() in _ENVIRONMENTS:
            return dict.fromkeys(value, REMOVED)
        return {name: _field(name, each) for name, each in value.items()}
    if isinstance(value, list):
        if key.lower() in _ENVIRONMENTS:
            return [_assigned(each) for each in value]
        return [_element(value, number) for number in range(len(value))]
    return without_secrets(value) if isinstance(value, str) else value


def _field(name: str, value: Any) -> Any:
    if isinstance(value, str) and value and name not in _OWN and SECRETIVE.search(name):
        return REMOVED
    return _without(value, name)


def _element(values: list[Any], number: int) -> Any:
    """One of a list: what follows `--password` is one."""
    return REMOVED if follows_option(values, number) else _without(values[number])


def follows_option(values: list[Any], number: int) -> bool:
    """Whether this one of a list of words is the value of an option like `--password`."""
    before, value = values[number - 1] if number else None, values[number]
    return (
        isinstance(before, str)
        and isinstance(value, str)
        and _OPTION.fullmatch(before) is not None
        and not value.startswith("-")
    )


def _assigned(value: Any) -> Any:
    """`NAME=VALUE` of an environment that is a list."""
    if not isinstance(value, str):
        return _without(value)
    name, equals, _ = value.partition("=")
    return f"{name}={REMOVED}" if equals else REMOVED
