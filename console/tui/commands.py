"""What is typed after `:`: a view, which nodes, and a filter."""

from __future__ import annotations

import difflib

import msgspec

from agent.protocol.problems import ProblemError
from console.tui.views import VIEW_HELP, usage

# View to the other names it goes by.
VIEWS: dict[str, tuple[str, ...]] = {
    "fleet": ("nodes", "f", "no"),
    "node": (),
    "containers": ("container", "ct", "c"),
    "gpus": ("gpu", "g"),
    "doctor": ("findings", "d"),
    "drift": ("expected",),
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
    "rollouts": ("ro", "releases"),
    "rollout": (),
    "history": ("events",),
    "snapshots": ("snapshot", "snap"),
    "changes": ("diff",),
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
    """The command that was typed, with or without its colon. Of several views that a word begins,
    the first of `views_named`.

    Raises:
        ProblemError: `console.usage` for a view that there is not; the hint names the nearest.
    """
    word, _, rest = text.strip().removeprefix(":").strip().partition(" ")
    rest = rest.strip()
    if "/" in word[1:]:  # ":containers/cam"
        word, _, rest = word.partition("/")
        rest = f"/{rest}"
    argument, found, filter_text = f" {rest}".partition(" /")
    matching = views_named(word, argument=bool(argument.strip()))
    if not matching:
        raise _no_view(word)
    view = matching[0]
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


def views_named(word: str, *, argument: bool) -> list[str]:
    """The views that a word means: one by its name or another of its names, else all that begin
    with it. Those that lack an argument stand last, and before them those that go by another name.
    """
    word = word.lower()
    names = {view: (view, *others) for view, others in VIEWS.items()}
    exact = [view for view, own in names.items() if word in own]
    if exact or not word:
        return exact
    begun = [view for view, own in names.items() if any(name.startswith(word) for name in own)]

    def rank(view: str) -> tuple[bool, bool]:
        return (VIEW_HELP[view].required and not argument, not view.startswith(word))

    return sorted(begun, key=rank)


def hint_for(text: str) -> str:
    """What Enter would do with what is typed so far."""
    word, _, rest = text.strip().removeprefix(":").strip().partition(" ")
    word, rest = word.partition("/")[0] or word, rest.strip()
    matching = views_named(word, argument=bool(rest))
    if len(matching) > 1:
        return f"Enter: {matching[0]}, not {', '.join(matching[1:])}"
    if matching:
        return usage(matching[0])
    return "no such view" if word else "Tab goes through views, ? lists them"


def _no_view(word: str) -> ProblemError:
    names = [name for view, others in VIEWS.items() for name in (view, *others)]
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return ProblemError(
        "console.usage",
        f"There is no view {word[:40]!r}",
        hint=(f"Did you mean :{near[0]}? " if near else "") + f"Views: {', '.join(VIEWS)}.",
    )
