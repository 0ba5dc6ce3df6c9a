"""Where a secret is: a file or a variable that a release names. The secret stands in none."""

from __future__ import annotations

import re

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def wrong_name(key: str, text: str) -> tuple[str, str] | None:
    """What is wrong with the value of a key like `url_file` or `url_env`, and what to do."""
    if key.endswith("_file"):
        return None if text.startswith("/") else (f"is {text[:60]!r}", "Write an absolute path.")
    if _VARIABLE.fullmatch(text):
        return None
    return f"is {text[:60]!r}, which no variable is called", "Like HOOK_URL."
