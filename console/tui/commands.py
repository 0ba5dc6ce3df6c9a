"""What is typed after `:`: a view, which nodes, and a filter."""

from __future__ import annotations

import difflib

import msgspec

from agent.protocol.problems import ProblemError

# View to the other names it goes by.
VIEWS: dict[str, tuple[str, ...]] = {
    "fleet": ("nodes", "f", "no"),
    "node": (),
    "containers": ("container", "ct", "c"),
    "gpus": ("gpu", "g"),
    "doctor": ("findings", "d"),
    "jobs": ("j",),
    "job": (),
    "images": ("i",),
    "image": (),
    "push": ("pushes",),
    "compat": ("compatibility", "runs"),
    "drivers": ("driver", "upgrades"),
    "placement": ("place", "pl"),
    "workloads": ("workload", "w", "wl"),
    "engines": ("e", "en"),
    "engine": (),
    "build": ("builds",),
    "bench": (),
    "logs": ("log",),
    "help": ("keys", "h", "?"),
    "theme": (),
    "refresh": (),
    "quit": ("q", "q!", "exit"),
}


class Command(msgspec.Struct, frozen=True):
    """`:containers site=plant-7 /cam` is Command("containers", "site=plant-7", "cam")."""

    view: str
    argument: str = ""
    """A selector (`site=plant-7`, `@cam-01`); for node, logs, theme and refresh what they take."""
    filter: str = ""

    def __str__(self) -> str:
        parts = [self.view, self.argument, f"/{self.filter}" if self.filter else ""]
        return " ".join(part for part in parts if part)


def parse_command(text: str) -> Command:
    """The command that was typed, with or without its colon.

    Raises:
        ProblemError: `console.usage` for a view that there is not; the hint names the nearest.
    """
    word, _, rest = text.strip().removeprefix(":").strip().partition(" ")
    rest = rest.strip()
    if "/" in word[1:]:  # ":containers/cam"
        word, _, rest = word.partition("/")
        rest = f"/{rest}"
    argument, found, filter_text = f" {rest}".partition(" /")
    view = _view_named(word)
    return Command(view, argument.strip(), filter_text.strip() if found else "")


def complete(text: str, nodes: list[str]) -> str:
    """`text` with its last word completed as far as only one completion is possible."""
    head, matching = _matching(text, nodes)
    if not matching:
        return text
    end = " " if len(matching) == 1 else ""
    return f"{head}{common_start(matching)}{end}"


def choices(text: str, nodes: list[str]) -> list[str]:
    """All that `text` may become by completing its last word."""
    head, matching = _matching(text, nodes)
    return [f"{head}{choice}" for choice in matching]


def _matching(text: str, nodes: list[str]) -> tuple[str, list[str]]:
    """What stands before the last word, and what that word may be."""
    cut = max(text.rfind(" "), text.rfind(",")) + 1
    head, last = text[:cut], text[cut:]
    if not head:
        words = list(VIEWS)
    elif last.startswith("@"):
        words = [f"@{node}" for node in nodes]
    elif head.split()[:1] == ["node"]:
        words = nodes
    else:
        words = []
    return head, [word for word in words if word.startswith(last)]


def common_start(choices: list[str]) -> str:
    """What all of them begin with; there is at least one."""
    first, last = min(choices), max(choices)
    length = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
    )
    return first[:length]


def _view_named(word: str) -> str:
    names = {name: view for view, others in VIEWS.items() for name in (view, *others)}
    if word in names:
        return names[word]
    begun = [view for view in VIEWS if word and view.startswith(word)]
    if len(begun) == 1:
        return begun[0]
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    raise ProblemError(
        "console.usage",
        f"There is no view {word[:40]!r}",
        hint=(f"Did you mean :{near[0]}? " if near else "") + f"Views: {', '.join(VIEWS)}.",
    )
