"""What is asked in the last line."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Question(msgspec.Struct, frozen=True):
    """`changed` hears every change, `done` the final text, or None if it was cancelled.

    `complete` answers a text with its last word completed; where that changes nothing, `choices`
    gives all texts that it may become. `hint` says at the right end what Enter would do with a
    text. `history` has the newest last.
    """

    sign: str
    done: Callable[[str | None], None]
    changed: Callable[[str], None] | None = None
    complete: Callable[[str], str] | None = None
    choices: Callable[[str], list[str]] | None = None
    hint: Callable[[str], str] | None = None
    text: str = ""
    history: tuple[str, ...] = ()
