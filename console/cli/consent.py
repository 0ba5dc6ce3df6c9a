"""Asking a person before something changes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click

from agent.protocol.problems import ProblemError
from console.cli.output import say
from console.fleet.inventory import NodeEntry

_SHOWN = 5


def consent(
    entries: Sequence[NodeEntry],
    what: str,
    *,
    yes: bool,
    show: Callable[[Sequence[NodeEntry]], None] = lambda _: None,
) -> None:
    """Ask where production is touched; `what` is an order: "remove detector:1.4".

    One node is agreed to by its name, several by their number. `show` tells what would happen on
    the production nodes, also where nobody is asked because of `yes`.

    Raises:
        ProblemError: `console.terminal`, `console.usage`, and those of `show`.
    """
    production = [entry for entry in entries if entry.production]
    if not production:
        return
    one = len(production) == 1
    named = _named(production)
    if not yes and not sys.stdin.isatty():
        raise ProblemError(
            "console.terminal",
            f"{named} {'is' if one else 'are'} in production, and nobody can be asked here",
            params={"nodes": [entry.name for entry in production]},
            hint="Add --yes if it is meant.",
        )
    show(production)
    if yes:
        return
    say(f"{named} {'is' if one else 'are'} in PRODUCTION. To {what} there,")
    wanted = production[0].name if one else str(len(production))
    kind = "the node's name" if one else "how many production nodes these are"
    typed = click.prompt(f"type {kind}", err=True, default="", show_default=False)
    if typed.strip() != wanted:
        raise ProblemError(
            "console.usage",
            f"that is not {kind}, so nothing was done",
            hint="Run the command again.",
        )


def _named(production: Sequence[NodeEntry]) -> str:
    names = [entry.name for entry in production]
    if len(names) == 1:
        return names[0]
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} nodes ({shown})"
