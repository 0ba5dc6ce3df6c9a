"""The one registry of what a person can do: footer, help, palette, keymap and docs come from it.

Keys that clash with tmux or screen (ctrl+a, ctrl+b) or with flow control (ctrl+s, ctrl+q) are
not used, and `keymap` refuses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

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

RESERVED_KEYS = frozenset({"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+q", "ctrl+z"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
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
    Action(
        id="open",
        key="enter",
        label="open",
        help="Open what the cursor is on",
        scopes=_TABLES,
        group="Go",
        footer=10,
    ),
    Action(
        id="back",
        key="escape",
        label="back",
        help="Leave the filter, then the screen; cancel what is running",
        scopes=_ANY,
        group="Go",
        footer=80,
    ),
    Action(
        id="command",
        key="colon",
        label="go to",
        help="Type a view and what to show: `containers @cam-01 /web`, `fleet site=plant-7`",
        scopes=_ANY,
        group="Go",
        footer=20,
    ),
    Action(
        id="last",
        key="minus",
        label="last view",
        help="Back to the view before this one",
        scopes=_ANY,
        group="Go",
    ),
    Action(
        id="palette",
        key="ctrl+p",
        label="palette",
        help="Find an action by its name",
        scopes=_ANY,
        group="Go",
    ),
    Action(
        id="help",
        key="question_mark",
        label="help",
        help="Every key of this screen",
        scopes=_ANY,
        group="Go",
        footer=1,
    ),
    Action(
        id="quit",
        key="ctrl+c",
        label="quit",
        help="Leave Roost; `:q` does too. Nothing on a node stops",
        scopes=_ANY,
        group="Go",
    ),
    Action(
        id="filter",
        key="slash",
        label="filter",
        help="Show what matches: text or a pattern, `!text` for the opposite, "
        "`-l site=plant-7` by label",
        scopes=("table", "logs"),
        group="Rows",
        footer=15,
    ),
    Action(
        id="mark",
        key="space",
        label="mark",
        help="Mark this row for the next action",
        scopes=_TABLES,
        group="Rows",
        footer=60,
    ),
    Action(
        id="mark.all",
        key="asterisk",
        label="mark all",
        help="Mark all rows that the filter shows; again: none",
        scopes=_TABLES,
        group="Rows",
    ),
    Action(
        id="mark.range",
        key="ctrl+@",
        label="mark range",
        help="Mark from the last mark to here (ctrl+space)",
        scopes=_TABLES,
        group="Rows",
    ),
    _sort("name", "N", "name", "fleet", "containers", "node"),
    _sort("state", "S", "state", "fleet", "containers", "gpus", "node"),
    _sort("driver", "D", "driver", "fleet", "gpus"),
    _sort("cuda", "C", "CUDA version", "fleet"),
    _sort("gpus", "P", "GPUs", "fleet", "containers", "gpus"),
    _sort("utilization", "U", "utilization", "fleet", "gpus"),
    _sort("memory", "M", "memory", "fleet", "containers", "gpus", "node"),
    _sort("temperature", "T", "temperature", "fleet", "gpus"),
    _sort("containers", "K", "number of containers", "fleet"),
    _sort("findings", "F", "findings, worst first", "fleet"),
    _sort("age", "A", "age", "fleet", "containers", "doctor", "node"),
    _sort("node", "O", "node", "containers", "gpus", "doctor"),
    _sort("cpu", "U", "processor", "containers", "node"),
    _sort("image", "I", "image", "containers", "node"),
    _sort("power", "W", "power", "gpus"),
    _sort("severity", "S", "severity", "doctor"),
    _sort("title", "T", "finding", "doctor"),
    Action(
        id="logs",
        key="l",
        label="logs",
        help="Follow a container's log",
        scopes=("fleet", "node", "containers"),
        group="Do",
        footer=30,
    ),
    Action(
        id="shell",
        key="s",
        label="shell",
        help="A shell on the node (ssh), or in the container; Roost waits behind it",
        scopes=("fleet", "node", "containers"),
        group="Do",
        role="operator",
        footer=31,
    ),
    Action(
        id="doctor",
        key="d",
        label="doctor",
        help="What is wrong, why, and how to mend it: here, or on the marked nodes",
        scopes=("fleet", "node", "containers", "gpus"),
        group="Do",
        footer=32,
    ),
    Action(
        id="checks",
        key="v",
        label="all checks",
        help="Ask the node's doctor now: every check and its result",
        scopes=("doctor",),
        group="Do",
        footer=32,
    ),
    Action(
        id="container.start",
        key="u",
        label="start",
        help="Start the container (up), or all that are marked",
        scopes=("node", "containers"),
        group="Do",
        danger="confirm",
        role="operator",
    ),
    Action(
        id="container.stop",
        key="x",
        label="stop",
        help="Stop the container, or all that are marked",
        scopes=("node", "containers"),
        group="Do",
        danger="confirm",
        role="operator",
        footer=40,
    ),
    Action(
        id="container.restart",
        key="ctrl+r",
        label="restart",
        help="Restart the container, or all that are marked",
        scopes=("node", "containers"),
        group="Do",
        danger="confirm",
        role="operator",
        footer=41,
    ),
    Action(
        id="section",
        key="tab",
        label="section",
        help="The next section: containers, processes, findings, facts",
        scopes=("node",),
        group="View",
        footer=25,
    ),
    Action(
        id="section.back",
        key="shift+tab",
        label="section",
        help="The section before",
        scopes=("node",),
        group="View",
    ),
    Action(
        id="logs.find",
        key="f",
        label="find",
        help="Search in the log",
        scopes=("logs",),
        group="Logs",
        footer=16,
    ),
    Action(
        id="logs.next",
        key="n",
        label="next",
        help="The next place where it is found",
        scopes=("logs",),
        group="Logs",
        footer=17,
    ),
    Action(
        id="logs.previous",
        key="N",
        label="previous",
        help="The place before where it is found",
        scopes=("logs",),
        group="Logs",
    ),
    Action(
        id="logs.since",
        key="i",
        label="since",
        help="Read again from a time on: `10m`, `2h`, `1d`, or `2026-05-04T10:00:00Z`",
        scopes=("logs",),
        group="Logs",
        footer=18,
    ),
    Action(
        id="logs.wrap",
        key="w",
        label="wrap",
        help="Wrap long lines",
        scopes=("logs",),
        group="Logs",
        footer=19,
    ),
    Action(
        id="logs.times",
        key="t",
        label="times",
        help="Show when each line was written",
        scopes=("logs",),
        group="Logs",
        footer=20,
    ),
    Action(
        id="pause",
        key="p",
        label="pause",
        help="Hold the screen still; again: go on",
        scopes=_ANY,
        group="View",
        footer=50,
    ),
    Action(
        id="refresh",
        key="r",
        label="refresh",
        help="How often the screen is brought up to date: 1, 2, 5, 10 s",
        scopes=_ANY,
        group="View",
    ),
    Action(
        id="copy",
        key="c",
        label="copy",
        help="Copy the row, or the marked rows, to your terminal's clipboard (OSC 52)",
        scopes=("table", "page", "logs"),
        group="View",
    ),
    Action(
        id="export",
        key="e",
        label="export",
        help="Save what is shown to a file: .csv, .json or .txt",
        scopes=("table", "logs"),
        group="View",
    ),
    Action(
        id="theme",
        key="ctrl+t",
        label="theme",
        help="The next theme",
        scopes=_ANY,
        group="View",
    ),
    Action(
        id="bytes",
        key="ctrl+d",
        label="bytes",
        help="Show how many bytes a second go to the terminal",
        scopes=_ANY,
        group="View",
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


def keys_table(actions: Iterable[Action] = ACTIONS, keymap: Mapping[str, str] | None = None) -> str:
    """The keys as a Markdown table, for the documentation."""
    keymap = keymap or {}
    lines = [
        "| key | id | what it does | where | asks first | role |",
        "|---|---|---|---|---|---|",
    ]
    for action in actions:
        key = key_words(keymap.get(action.id, action.key))
        cells = (
            f"`{key}`" if key != "|" else "`\\|`",
            f"`{action.id}`",
            action.help,
            ", ".join(action.scopes),
            "no" if action.danger == "none" else "yes",
            action.role,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
