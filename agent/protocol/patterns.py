"""Patterns of names on the wire."""

from __future__ import annotations


def whole(pattern: str) -> str:
    r"""A pattern that all of a text must match, for `msgspec.Meta` and for a JSON schema's readers.

    msgspec searches, and Python's `$` lets a line break follow. `\Z`, which does not, is unknown to
    ECMA-262, by which clients read the patterns of the OpenAPI document.
    """
    return rf"^(?:{pattern})$(?!\n)"
