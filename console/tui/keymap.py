"""The person's own keys: `keymap.yaml` beside fleet.yaml, action ids to keys.

container.stop: ctrl+x
move.down: "down,j"
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from agent.protocol.problems import ProblemError
from agent.yaml_text import read_document
from console.tui.action import Scope
from console.tui.actions import ACTIONS, offered_on
from console.tui.keys import RESERVED_KEYS, keys_of

_SCREENS: tuple[Scope, ...] = tuple(
    scope for scope in get_args(Scope) if scope not in ("everywhere", "table", "page")
)
# As people write a key, and as Textual names it.
_NAMES = {
    ":": "colon",
    "/": "slash",
    "?": "question_mark",
    "*": "asterisk",
    "-": "minus",
    "esc": "escape",
    "ctrl+space": "ctrl+@",
    " ": "space",
}


def load_keymap(file: Path) -> dict[str, str]:
    """The keys of a keymap file; none if there is no such file.

    Raises:
        ProblemError: `settings.*`, with file and, where it is known, line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(
            "settings.unreadable", f"{file}: {error}", hint="Mend or remove that file."
        ) from None
    document = read_document(text, file=str(file))
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ProblemError(
            "settings.invalid",
            f"{file}: this is not a list of action ids and keys",
            hint="Write lines like `container.stop: ctrl+x`.",
        )
    lines = text.splitlines()

    def where(key: object) -> str:
        found = (n for n, line in enumerate(lines, 1) if line.lstrip("\"' ").startswith(str(key)))
        number = next(found, None)
        return f"{file}, line {number}" if number else str(file)

    keymap = {}
    for action_id, keys in document.items():
        _check_id(action_id, where(action_id))
        keymap[action_id] = _checked_keys(keys, where(action_id))
    _check_clashes(keymap, file)
    return keymap


def _check_id(action_id: object, where: str) -> None:
    ids = [action.id for action in ACTIONS]
    if action_id in ids:
        return
    near = difflib.get_close_matches(str(action_id), ids, n=1, cutoff=0.5)
    raise ProblemError(
        "settings.unknown_key",
        f"{where}: there is no action {str(action_id)[:40]!r}",
        params={"nearest": near[0] if near else None},
        hint=f"Did you mean {near[0]!r}?" if near else "Press ? in Roost to see all actions.",
    )


def _checked_keys(keys: object, where: str) -> str:
    names = [] if not isinstance(keys, str) else [_name(key) for key in keys.split(",")]
    if not names or not all(names):
        raise ProblemError(
            "settings.invalid",
            f"{where}: a key is missing",
            hint='Write a key, or some with commas: "down,j".',
        )
    reserved = sorted(RESERVED_KEYS.intersection(names))
    if reserved:
        raise ProblemError(
            "settings.invalid",
            f"{where}: {reserved[0]} cannot be used",
            hint="tmux, screen or the terminal itself take it.",
        )
    return ",".join(names)


def _name(key: str) -> str:
    key = key if key == " " else key.strip()
    lower = key.lower() if len(key) > 1 else key
    return _NAMES.get(lower, lower)


def _check_clashes(keymap: Mapping[str, str], file: Path) -> None:
    """No key may mean two things on one screen."""
    for screen in _SCREENS:
        taken: dict[str, str] = {}
        for action in offered_on(screen):
            for key in keys_of([action], keymap):
                if key in taken:
                    raise ProblemError(
                        "settings.invalid",
                        f"{file}: {key} would mean {taken[key]} and {action.id} on {screen}",
                        hint=f"Give {action.id} or {taken[key]} another key.",
                    )
                taken[key] = action.id
