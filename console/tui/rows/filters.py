"""What the person typed after `/`, as a test of text."""

from __future__ import annotations

import re

import msgspec

_MAX_PATTERN = 200


class TextFilter(msgspec.Struct, frozen=True):
    """`cam`, `!cam` (the opposite), or a regular expression; upper and lower case are the same.

    What is not a valid expression is taken literally.
    """

    text: str = ""

    @property
    def inverse(self) -> bool:
        return self.text.startswith("!")

    def pattern(self) -> re.Pattern[str] | None:
        """None where there is nothing to look for."""
        return compile_pattern(self.text[1:] if self.inverse else self.text)


def compile_pattern(text: str) -> re.Pattern[str] | None:
    """An expression without regard to case; None for an empty one."""
    wanted = text.strip()[:_MAX_PATTERN]
    if not wanted:
        return None
    try:
        return re.compile(wanted, re.IGNORECASE)
    except re.error:
        return re.compile(re.escape(wanted), re.IGNORECASE)
