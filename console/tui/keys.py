"""Keys: what each one does, and how it reads to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from console.tui.action import Action

RESERVED_KEYS = frozenset({"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+q", "ctrl+z"})
"""tmux and screen take the first two, flow control and job control the others."""


def keys_of(actions: Iterable[Action], keymap: Mapping[str, str]) -> dict[str, Action]:
    """Keys as Textual names them, and what each one does; `keymap` overrides by action id."""
    return {
        key.strip(): action
        for action in actions
        for key in keymap.get(action.id, action.key).split(",")
    }


# How a key reads to people, where its name for Textual is another.
_KEY_WORDS = {
    "colon": ":",
    "slash": "/",
    "question_mark": "?",
    "asterisk": "*",
    "minus": "-",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "ctrl+@": "Ctrl+Space",
    "pageup": "PgUp",
    "pagedown": "PgDn",
}


def key_words(key: str) -> str:
    """ "question_mark" is "?", "ctrl+t" is "Ctrl+T", "N" is "Shift+N", "up,k" is "Up, k"."""
    if "," in key:
        return ", ".join(key_words(part.strip()) for part in key.split(","))
    if key in _KEY_WORDS:
        return _KEY_WORDS[key]
    if len(key) == 1:
        return f"Shift+{key}" if key.isupper() else key
    return "+".join(part.capitalize() for part in key.split("+"))
