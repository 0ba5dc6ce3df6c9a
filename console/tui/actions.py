"""The one registry of what a person can do: footer, help, palette, keymap and docs come from it.

Keys that clash with tmux or screen (ctrl+a, ctrl+b) or with flow control (ctrl+s, ctrl+q) are
not used, and `keymap` refuses them.
"""

from __future__ import annotations

from typing import get_args

from console.tui.action import Action, Scope, action, change, move, sort
from console.tui.actions_compat import COMPAT
from console.tui.actions_engines import ENGINES
from console.tui.actions_place import PLACE
from console.tui.actions_rollouts import ROLLOUTS
from console.tui.actions_snapshots import SNAPSHOTS
from console.tui.actions_work import WORK

_TABLES: tuple[Scope, ...] = ("table",)
_ANY: tuple[Scope, ...] = ("everywhere",)
_LOGS: tuple[Scope, ...] = ("logs", "job", "history")
_MATRICES: tuple[Scope, ...] = ("images", "compat")
_BUT_FIRST: tuple[Scope, ...] = tuple(
    scope for scope in get_args(Scope) if scope not in ("everywhere", "table", "page", "fleet")
)
# What is read once and not followed has another "refresh".
_FOLLOWING: tuple[Scope, ...] = (
    *("fleet", "node", "containers", "gpus", "doctor", "jobs", "job", "logs", "push"),
    "drift",
    *("rollouts", "rollout", "history"),
)

ACTIONS: tuple[Action, ...] = (
    move("up", "up,k", "One up", "table", "page", "rollout", *_LOGS),
    move("down", "down,j", "One down", "table", "page", "rollout", *_LOGS),
    move("page_up", "pageup", "A screenful up", "table", "page", *_LOGS),
    move("page_down", "pagedown", "A screenful down", "table", "page", *_LOGS),
    move("top", "home,g", "To the first", "table", "page", "rollout", *_LOGS),
    move(
        "bottom",
        "end,G",
        "To the last; a log follows again",
        *("table", "page", "rollout"),
        *_LOGS,
    ),
    move("left", "left,h", "To the left", "rollout", *_LOGS, *_MATRICES),
    move("right", "right", "To the right: long lines, more nodes", "rollout", *_LOGS, *_MATRICES),
    move("page_left", "less_than_sign", "A screenful of nodes to the left", *_MATRICES),
    move("page_right", "greater_than_sign", "A screenful of nodes to the right", *_MATRICES),
    action(
        "open",
        "enter",
        "open",
        "Open what the cursor is on",
        (*_TABLES, "rollout"),
        "Go",
        footer=10,
    ),
    action(
        "back",
        "escape",
        "back",
        "Leave the filter, then the screen; cancel what is running",
        _ANY,
        "Go",
        footer=80,
    ),
    action(
        "command",
        "colon",
        "go to",
        "Type a view and what to show: `containers @cam-01 /web`, `fleet site=plant-7`",
        _ANY,
        "Go",
        footer=20,
    ),
    action("last", "minus", "last view", "Back to the view before this one", _ANY, "Go"),
    action("palette", "ctrl+p", "palette", "Find an action by its name", _ANY, "Go"),
    action("help", "question_mark", "help", "Every key of this screen", _ANY, "Go", footer=1),
    action(
        "quit",
        "ctrl+c",
        "quit",
        "Leave Roost; `:q` does too. Nothing on a node stops, rollouts go on; asks while archives"
        " are sent",
        _ANY,
        "Go",
    ),
    action(
        "leave",
        "q",
        "quit",
        "Leave the first screen, and with it Roost, as Ctrl+C does",
        ("fleet",),
        "Go",
        footer=5,
    ),
    action("close", "q", "back", "Leave the screen, as Esc does", _BUT_FIRST, "Go"),
    action(
        "filter",
        "slash",
        "filter",
        "Show what matches: text or a pattern; `!text`: all else; `-l site=plant-7`: by label",
        _TABLES,
        "Rows",
        footer=15,
    ),
    action(
        "mark", "space", "mark", "Mark this row for the next action", _TABLES, "Rows", footer=60
    ),
    action(
        "mark.all",
        "asterisk",
        "mark all",
        "Mark all rows that the filter shows; again: none",
        _TABLES,
        "Rows",
    ),
    action(
        "mark.range",
        "ctrl+@",
        "mark range",
        "Mark from the last mark to here",
        _TABLES,
        "Rows",
    ),
    sort("name", "N", "name", "fleet", "containers", "node", "workloads"),
    sort(
        "state",
        "S",
        "state; jobs that run come first",
        "fleet",
        "containers",
        "gpus",
        "node",
        "jobs",
        "placement",
        "workloads",
        "engines",
        "engine",
        "rollouts",
        "drift",
    ),
    sort("fact", "F", "fact", "drift"),
    sort("driver", "D", "driver", "fleet", "drivers"),
    sort("cuda", "C", "CUDA version", "fleet", "compat"),
    sort("gpus", "P", "GPUs", "fleet", "containers", "gpus", "workloads"),
    sort("utilization", "U", "utilization", "fleet", "gpus", "placement"),
    sort("memory", "M", "memory", "fleet", "containers", "gpus", "node", "placement"),
    sort("temperature", "T", "temperature", "fleet", "gpus"),
    sort("containers", "K", "number of containers", "fleet"),
    sort("findings", "F", "findings, worst first", "fleet"),
    sort(
        "age",
        "A",
        "age",
        *("fleet", "containers", "gpus", "doctor", "jobs", "placement", "workloads", "engines"),
        "drift",
    ),
    sort("up", "E", "how long it has been as it is", "containers", "node"),
    sort("since", "E", "how long it has been so", "doctor", "jobs", "image", "rollouts"),
    sort(
        "node",
        "O",
        "node",
        "containers",
        "gpus",
        "doctor",
        "drift",
        "jobs",
        "image",
        "push",
        "drivers",
        "placement",
        "workloads",
        "engines",
    ),
    sort("cpu", "U", "processor", "containers", "node"),
    sort("image", "I", "image", "containers", "node", "images", "compat"),
    sort("nodes", "O", "how many nodes have it", "images"),
    sort("differs", "D", "how many nodes have another image of that name", "images"),
    sort("used", "U", "how many containers use it", "images", "image"),
    sort("size", "Z", "size", "images", "image", "engines", "engine"),
    sort("has", "S", "whether the node has it", "image"),
    sort("built", "T", "when it was built", "image", "engines", "engine"),
    sort("stage", "S", "how far they are", "push"),
    sort("done", "P", "how much is sent", "push"),
    sort("reserved", "V", "reserved memory", "placement"),
    sort("release", "L", "release", "workloads", "rollouts"),
    sort("deployment", "D", "how far its deployment is", "workloads"),
    sort("drift", "F", "whether it differs from what was asked for", "workloads"),
    sort("power", "W", "power", "gpus"),
    sort("severity", "S", "severity", "doctor"),
    sort("subject", "B", "what it works on", "jobs"),
    sort("kind", "K", "kind", "jobs"),
    sort("progress", "P", "how far it is", "jobs"),
    sort("owner", "Y", "who asked for it", "jobs", "rollouts"),
    sort("title", "T", "finding", "doctor"),
    action(
        "logs",
        "l",
        "logs",
        "Follow a container's log",
        ("fleet", "node", "containers", "placement", "workloads"),
        "Do",
        footer=30,
    ),
    action(
        "shell",
        "s",
        "shell",
        "A shell on the node (ssh), or in the container; Roost waits behind it",
        ("fleet", "node", "containers"),
        "Do",
        role="operator",
        footer=31,
    ),
    action(
        "doctor",
        "d",
        "doctor",
        "What is wrong, why, and how to mend it: here, or on the marked nodes",
        ("fleet", "node", "containers", "gpus", "placement", "drift"),
        "Do",
        footer=32,
    ),
    action(
        "retry",
        "t",
        "try again",
        "Try to reach the node now, or all that are marked",
        ("fleet", "node"),
        "Do",
    ),
    action(
        "checks",
        "v",
        "all checks",
        "Ask the node's doctor now: every check and its result",
        ("doctor",),
        "Do",
        footer=32,
    ),
    change(
        "container.start",
        "u",
        "start",
        "Start the container (up), or all that are marked",
        ("node", "containers"),
    ),
    change(
        "container.stop",
        "x",
        "stop",
        "Stop the container, or all that are marked",
        ("node", "containers"),
        footer=40,
    ),
    change(
        "container.restart",
        "ctrl+r",
        "restart",
        "Restart the container, or all that are marked",
        ("node", "containers"),
        footer=41,
    ),
    *WORK,
    *COMPAT,
    *PLACE,
    *ENGINES,
    *ROLLOUTS,
    *SNAPSHOTS,
    action(
        "section",
        "tab",
        "section",
        "The next section: containers, processes, jobs, findings, facts",
        ("node",),
        "View",
        footer=25,
    ),
    action("section.back", "shift+tab", "section", "The section before", ("node",), "View"),
    action(
        "logs.filter",
        "slash",
        "filter",
        "Show the lines that match: text or a pattern; `!text`: all others",
        _LOGS,
        "Logs",
        footer=15,
    ),
    action("logs.find", "f", "find", "Search in the log", _LOGS, "Logs", footer=16),
    action("logs.next", "n", "next", "The next place where it is found", _LOGS, "Logs", footer=17),
    action("logs.previous", "N", "previous", "The place before where it is found", _LOGS, "Logs"),
    action(
        "logs.since",
        "i",
        "since",
        "Read again from a time on: `10m`, `2h`, `1d`, or `2026-05-04T10:00:00Z`",
        ("logs",),
        "Logs",
        footer=18,
    ),
    action("logs.wrap", "w", "wrap", "Wrap long lines", _LOGS, "Logs", footer=19),
    action("logs.times", "t", "times", "Show when each line was written", _LOGS, "Logs", footer=20),
    action("pause", "p", "pause", "Hold the screen still; again: go on", _ANY, "View", footer=50),
    action(
        "refresh",
        "r",
        "refresh",
        "How often the screen is brought up to date: 1, 2, 5, 10 s",
        _FOLLOWING,
        "View",
    ),
    action(
        "copy",
        "c",
        "copy",
        "Copy the row, or the marked rows, to your terminal's clipboard (OSC 52)",
        ("table", "page", "rollout", *_LOGS),
        "View",
    ),
    action(
        "export",
        "e",
        "export",
        "Save what is shown to a file: .csv, .json or .txt",
        ("table", *_LOGS),
        "View",
    ),
    action("theme", "ctrl+t", "theme", "The next theme", _ANY, "View"),
    action(
        "bytes", "ctrl+d", "bytes", "Show how many bytes a second go to the terminal", _ANY, "View"
    ),
)

# Screens whose rows are a table; "table" actions are offered there.
TABLE_SCREENS: frozenset[Scope] = frozenset(
    {
        *("fleet", "node", "containers", "gpus", "doctor", "jobs", "images", "image", "push"),
        *("compat", "drivers", "placement", "workloads", "engines", "engine", "bench"),
        *("rollouts", "drift", "snapshots", "changes"),
    }
)


def action_by_id(action_id: str) -> Action:
    """Raises KeyError for an id that there is not."""
    for each in ACTIONS:
        if each.id == action_id:
            return each
    raise KeyError(action_id)


def offered_on(screen: Scope) -> tuple[Action, ...]:
    """The actions of a screen, in the registry's order."""
    scopes: set[Scope] = {"everywhere", screen}
    if screen in TABLE_SCREENS:
        scopes.add("table")
    return tuple(each for each in ACTIONS if scopes.intersection(each.scopes))
