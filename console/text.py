"""Text that came from elsewhere made safe to show, and figures made short.

Nothing that a node, a container or a file said reaches the terminal except through here.
"""

from __future__ import annotations

import re

from agent.rules import sizes

# C0, DEL and C1; line separators; marks and overrides of direction, which can make one name
# look like another; lone surrogates, which cannot be encoded.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# CSI sequences; OSC, DCS, SOS, PM and APC strings up to their end; other escapes.
_SEQUENCES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"
    "|\x1b[ -/]*[0-~]"
)


def clean(text: str) -> str:
    """`text` on one line, with every control character spelled out: ESC becomes `\\x1b`."""
    return text if text.isprintable() else _UNSAFE.sub(_spell, text)


def clean_output(text: str) -> str:
    """One line of a program's output: escape sequences are dropped, tabs stay.

    What is left of control characters is spelled out, as `clean` does.
    """
    if text.isprintable():
        return text
    text = _SEQUENCES.sub("", text).rstrip("\r").replace("\r", " ")
    return "\t".join(clean(part) for part in text.split("\t"))


def age(seconds: float | None) -> str:
    """`3s`, `3m`, `5h`, `12d`; `-` where it is unknown."""
    if seconds is None:
        return "-"
    for span, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= span:
            return f"{int(seconds // span)}{letter}"
    return f"{max(0, int(seconds))}s"


def size(count: float | None) -> str:
    """Bytes as `512 B`, `1.5 MiB`, `15 GiB`; `-` where it is unknown."""
    return "-" if count is None else sizes.size(count)


def plural(count: int, word: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _spell(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
