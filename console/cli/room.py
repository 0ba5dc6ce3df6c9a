"""Images that would have to go to make room on nodes: only when somebody says so."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from agent.protocol.images import Freeable, LoadPlan
from agent.protocol.problems import ProblemError
from console.cli.output import say
from console.cli.run import Answer
from console.text import clean, plural, size

room_option = click.option(
    "--make-room",
    is_flag=True,
    help="Where a node has no room, remove images: those that Roost loaded and nothing uses.",
)
_WHICH = "loaded by Roost and used by nothing"


def may_ask(*, yes: bool) -> bool:
    """Whether there is somebody to ask. `--yes` is no word for removing what nobody saw."""
    return not yes and sys.stdin.isatty()


def ask_for_room(answers: Sequence[Answer[LoadPlan]]) -> bool:
    """Ask once for all nodes, where images would have to go; `answers` are plans with the word."""
    wanted = {answer.entry.name: images_of(answer.value) for answer in answers if answer.value}
    wanted = {node: images for node, images in wanted.items() if images}
    if not wanted:
        return False
    for node, images in wanted.items():
        named = ", ".join(f"{item.name} ({size(item.size_bytes)})" for item in images)
        say(f"{node}: {clean(named)}")
    every = [item for images in wanted.values() for item in images]
    many = plural(len(every), "image")
    where = next(iter(wanted)) if len(wanted) == 1 else plural(len(wanted), "node")
    taken = size(sum(item.size_bytes for item in every))
    say(f"There is room on {where} only without {many} ({taken}) {_WHICH}.")
    return _ask(many, "Without it, nothing is loaded there.")


def images_of(plan: LoadPlan) -> list[Freeable]:
    """What would have to be said yes to; nothing where the load would be refused anyway."""
    return [] if plan.problems else [item for item in plan.frees if item.kind == "image"]


def ask_after(problem: ProblemError, node: str) -> bool:
    """Ask where a node has refused for want of a word; False where that is not why."""
    images = problem.params.get("images")
    if not problem.params.get("make_room") or not isinstance(images, list):
        return False
    say(f"{node}: {clean(problem.detail)}")
    say(f"In the way, and {_WHICH}: {clean(', '.join(images))}")
    return _ask(plural(len(images), "image"), "Without it, nothing is loaded.")


def _ask(many: str, otherwise: str) -> bool:
    return click.confirm(f"Remove {many}? {otherwise}", default=False, err=True)
