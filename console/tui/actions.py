"""The one registry of what a person can do: footer, help, palette, keymap and docs come from it.

Keys that clash with tmux or screen (ctrl+a, ctrl+b) or with flow control (ctrl+s, ctrl+q) are
not used, and `keymap` refuses them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.access import Role

Danger = Literal["none", "confirm", "type-name"]
# Where an action is offered: a screen's name, or all tables, or everywhere.
Scope = Literal[
    "everywhere",
    "table",
    "fleet",
    "node",
    "containers",
    "gpus",
    "doctor",
    "page",
    "logs",
]
Group = Literal["Move", "Go", "Rows", "Do", "Logs", "View"]
GROUPS: tuple[Group, ...] = ("Go", "Rows", "Do", "Logs", "View", "Move")


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a key does.

    `danger`: "confirm" asks first, with Cancel focused; "type-name" also wants the name typed.
    `container.*` rise to "type-name" by themselves on production or on more than one thing.
    `footer`: its place in the footer, smallest first; None keeps it out.
    """

    id: str
    key: str
    label: str
    help: str
    scopes: tuple[Scope, ...]
    group: Group
    danger: Danger = "none"
    role: Role = "viewer"
    footer: int | None = None


def _action(
    action_id: str,
    key: str,
    label: str,
    words: str,
    scopes: tuple[Scope, ...],
    group: Group,
    *,
    danger: Danger = "none",
    role: Role = "viewer",
    footer: int | None = None,
) -> Action:
    return Action(
        id=action_id,
        key=key,
        label=label,
        help=words,
        scopes=scopes,
        group=group,
        danger=danger,
        role=role,
        footer=footer,
    )


def _sort(column: str, key: str, words: str, *scopes: Scope) -> Action:
    return Action(
        id=f"sort.{column}",
        key=key,
        label="sort",
        help=f"Sort by {words}; again: the other way round",
        scopes=scopes,
        group="Rows",
    )


_TABLES: tuple[Scope, ...] = ("table",)
_ANY: tuple[Scope, ...] = ("everywhere",)


def _move(way: str, key: str, words: str, *scopes: Scope) -> Action:
    return Action(id=f"move.{way}", key=key, label=way, help=words, scopes=scopes, group="Move")


ACTIONS: tuple[Action, ...] = (
    _move("up", "up,k", "One up", "table", "page", "logs"),
    _move("down", "down,j", "One down", "table", "page", "logs"),
    _move("page_up", "pageup", "A screenful up", "table", "page", "logs"),
    _move("page_down", "pagedown", "A screenful down", "table", "page", "logs"),
    _move("top", "home,g", "To the first", "table", "page", "logs"),
    _move("bottom", "end,G", "To the last; a log follows again", "table", "page", "logs"),
    _move("left", "left,h", "To the left", "logs"),
    _move("right", "right", "To the right, on long lines", "logs"),
    _action("open", "enter", "open", "Open what the cursor is on", _TABLES, "Go", footer=10),
    _action(
        "back",
        "escape",
        "back",
        "Leave the filter, then the screen; cancel what is running",
        _ANY,
        "Go",
        footer=80,
    ),
    _action(
        "command",
        "colon",
        "go to",
        "Type a view and what to show: `containers @cam-01 /web`, `fleet site=plant-7`",
        _ANY,
        "Go",
        footer=20,
    ),
    _action("last", "minus", "last view", "Back to the view before this one", _ANY, "Go"),
    _action("palette", "ctrl+p", "palette", "Find an action by its name", _ANY, "Go"),
    _action("help", "question_mark", "help", "Every key of this screen", _ANY, "Go", footer=1),
    _action(
        "quit", "ctrl+c", "quit", "Leave Roost; `:q` does too. Nothing on a node stops", _ANY, "Go"
    ),
    _action(
        "filter",
        "slash",
        "filter",
        "Show what matches: text or a pattern; `!text`: all else; `-l site=plant-7`: by label",
        ("table", "logs"),
        "Rows",
        footer=15,
    ),
    _action(
        "mark", "space", "mark", "Mark this row for the next action", _TABLES, "Rows", footer=60
    ),
    _action(
        "mark.all",
        "asterisk",
        "mark all",
        "Mark all rows that the filter shows; again: none",
        _TABLES,
        "Rows",
    ),
    _action(
        "mark.range",
        "ctrl+@",
        "mark range",
        "Mark from the last mark to here",
        _TABLES,
        "Rows",
    ),
    _sort("name", "N", "name", "fleet", "containers", "node"),
    _sort("state", "S", "state", "fleet", "containers", "gpus", "node"),
    _sort("driver", "D", "driver", "fleet"),
    _sort("cuda", "C", "CUDA version", "fleet"),
    _sort("gpus", "P", "GPUs", "fleet", "containers", "gpus"),
    _sort("utilization", "U", "utilization", "fleet", "gpus"),
    _sort("memory", "M", "memory", "fleet", "containers", "gpus", "node"),
    _sort("temperature", "T", "temperature", "fleet", "gpus"),
    _sort("containers", "K", "number of containers", "fleet"),
    _sort("findings", "F", "findings, worst first", "fleet"),
    _sort("age", "A", "age", "fleet", "containers", "gpus", "doctor"),
    _sort("up", "E", "how long it has been as it is", "containers", "node"),
    _sort("since", "E", "how long it has been so", "doctor"),
    _sort("node", "O", "node", "containers", "gpus", "doctor"),
    _sort("cpu", "U", "processor", "containers", "node"),
    _sort("image", "I", "image", "containers", "node"),
    _sort("power", "W", "power", "gpus"),
    _sort("severity", "S", "severity", "doctor"),
    _sort("title", "T", "finding", "doctor"),
    _action(
        "logs",
        "l",
        "logs",
        "Follow a container's log",
        ("fleet", "node", "containers"),
        "Do",
        footer=30,
    ),
    _action(
        "shell",
        "s",
        "shell",
        "A shell on the node (ssh), or in the container; Roost waits behind it",
        ("fleet", "node", "containers"),
        "Do",
        role="operator",
        footer=31,
    ),
    _action(
        "doctor",
        "d",
        "doctor",
        "What is wrong, why, and how to mend it: here, or on the marked nodes",
        ("fleet", "node", "containers", "gpus"),
        "Do",
        footer=32,
    ),
    _action(
        "retry",
        "t",
        "try again",
        "Try to reach the node now, or all that are marked",
        ("fleet", "node"),
        "Do",
    ),
    _action(
        "checks",
        "v",
        "all checks",
        "Ask the node's doctor now: every check and its result",
        ("doctor",),
        "Do",
        footer=32,
    ),
    _action(
        "container.start",
        "u",
        "start",
        "Start the container (up), or all that are marked",
        ("node", "containers"),
        "Do",
        danger="confirm",
        role="operator",
    ),
    _action(
        "container.stop",
        "x",
        "stop",
        "Stop the container, or all that are marked",
        ("node", "containers"),
        "Do",
        danger="confirm",
        role="operator",
        footer=40,
    ),
    _action(
        "container.restart",
        "ctrl+r",
        "restart",
        "Restart the container, or all that are marked",
        ("node", "containers"),
        "Do",
        danger="confirm",
        role="operator",
        footer=41,
    ),
    _action(
        "section",
        "tab",
        "section",
        "The next section: containers, processes, findings, facts",
        ("node",),
        "View",
        footer=25,
    ),
    _action("section.back", "shift+tab", "section", "The section before", ("node",), "View"),
    _action("logs.find", "f", "find", "Search in the log", ("logs",), "Logs", footer=16),
    _action(
        "logs.next", "n", "next", "The next place where it is found", ("logs",), "Logs", footer=17
    ),
    _action(
        "logs.previous", "N", "previous", "The place before where it is found", ("logs",), "Logs"
    ),
    _action(
        "logs.since",
        "i",
        "since",
        "Read again from a time on: `10m`, `2h`, `1d`, or `2026-05-04T10:00:00Z`",
        ("logs",),
        "Logs",
        footer=18,
    ),
    _action("logs.wrap", "w", "wrap", "Wrap long lines", ("logs",), "Logs", footer=19),
    _action(
        "logs.times", "t", "times", "Show when each line was written", ("logs",), "Logs", footer=20
    ),
    _action("pause", "p", "pause", "Hold the screen still; again: go on", _ANY, "View", footer=50),
    _action(
        "refresh",
        "r",
        "refresh",
        "How often the screen is brought up to date: 1, 2, 5, 10 s",
        _ANY,
        "View",
    ),
    _action(
        "copy",
        "c",
        "copy",
        "Copy the row, or the marked rows, to your terminal's clipboard (OSC 52)",
        ("table", "page", "logs"),
        "View",
    ),
    _action(
        "export",
        "e",
        "export",
        "Save what is shown to a file: .csv, .json or .txt",
        ("table", "logs"),
        "View",
    ),
    _action("theme", "ctrl+t", "theme", "The next theme", _ANY, "View"),
    _action(
        "bytes", "ctrl+d", "bytes", "Show how many bytes a second go to the terminal", _ANY, "View"
    ),
)

# Screens whose rows are a table; "table" actions are offered there.
TABLE_SCREENS: frozenset[Scope] = frozenset({"fleet", "node", "containers", "gpus", "doctor"})


def action_by_id(action_id: str) -> Action:
    """Raises KeyError for an id that there is not."""
    for action in ACTIONS:
        if action.id == action_id:
            return action
    raise KeyError(action_id)


def offered_on(screen: Scope) -> tuple[Action, ...]:
    """The actions of a screen, in the registry's order."""
    scopes: set[Scope] = {"everywhere", screen}
    if screen in TABLE_SCREENS:
        scopes.add("table")
    return tuple(action for action in ACTIONS if scopes.intersection(action.scopes))
