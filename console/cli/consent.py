"""Asking a person before something changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.text import clean

_SHOWN = 5


def consent(entries: Sequence[NodeEntry], what: str, *, yes: bool) -> None:
    """Ask where production is touched; `what` is an order: "remove detector:1.4".

    One node is agreed to by its name, several by their number.

    Raises:
        ProblemError: `console.terminal`, `console.usage`.
    """
    production = [entry.name for entry in entries if entry.production]
    if not production or yes:
        return
    named = ", ".join(production[:_SHOWN]) + (" ..." if len(production) > _SHOWN else "")
    if not sys.stdin.isatty():
        raise ProblemError(
            "console.terminal",
            f"in production: {named}; and nobody can be asked here",
            params={"nodes": production},
            hint="Add --yes if it is meant.",
        )
    click.echo(clean(f"in PRODUCTION: {named}. To {what} there,"), err=True)
    wanted = production[0] if len(production) == 1 else str(len(production))
    kind = "the node's name" if len(production) == 1 else "how many production nodes these are"
    typed = click.prompt(f"type {kind}", err=True, default="", show_default=False)
    if typed.strip() != wanted:
        raise ProblemError(
            "console.usage",
            "that is not it, so nothing was done",
            hint="Run the command again.",
        )
